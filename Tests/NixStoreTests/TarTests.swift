import CastoreTestSupport
import Testing

/// Archives of real programs.
@Suite("Tar archives")
struct TarTests {
  @Test(
    "give the trees that they hold, in any format and compression",
    arguments: [
      "--format=gnu", "--format=pax -z", "--format=gnu -j", "--format=gnu -J",
      "--format=pax --sort=inode --zstd", "--format=gnu --no-recursion --null -T list",
    ]
  )
  func formats(flags: String) throws {
    let bench = try Workbench()
    try bench.makeNastyTree()
    // Parents that are missing, children before parents.
    try bench.run("find nasty ! -name nasty -print0 | sort -rz > list")
    try bench.run("castore import nasty")
    let source = flags.contains("-T") ? "" : "nasty"
    try bench.run(
      "tar -cf archive.tar.x \(flags) \(source); castore import --tar archive.tar.x --name tar"
    )
    let roots = try bench.run("castore roots").split(separator: "\n").map {
      $0.split(separator: "\t")
    }
    #expect(roots.count == 2)
    #expect(roots[0].last == roots[1].last)
    #expect(try bench.run("castore import --tar - < archive.tar.x").hasPrefix("nasty\t"))
  }

  @Test("of a folder around everything are named after the file")
  func dot() throws {
    let bench = try Workbench()
    try bench.run("mkdir t; echo 1 > t/a; echo 2 > t/b; tar -C t -czf some-1.0.tar.gz .")
    #expect(try bench.run("castore import --tar some-1.0.tar.gz").hasPrefix("some-1.0\t"))
    #expect(try bench.run("castore ls some-1.0") == "a\nb")
    #expect(try bench.fail("castore import --tar - < some-1.0.tar.gz").contains("--name"))
    #expect(try bench.run("castore import --json --name n --tar some-1.0.tar.gz").contains("\"n\""))
  }

  @Test("may hold a path twice: the last one counts")
  func replaced() throws {
    let bench = try Workbench()
    try bench.run(
      """
      mkdir -p t/d; echo 1 > t/a; echo old > t/d/x; tar -cf x.tar t
      rm -r t/d; echo file > t/d; echo 2 > t/a; tar -rf x.tar t/a t/d
      castore import --tar x.tar
      """
    )
    #expect(try bench.run("castore tree t; castore cat t/a t/d").hasSuffix("2\nfile"))
  }

  @Test("may hold files under several names, and files with holes", arguments: ["gnu", "pax"])
  func hardLinks(format: String) throws {
    let bench = try Workbench()
    try bench.run(
      """
      mkdir -p t/d; echo 1 > t/a; ln t/a t/d/b; ln -s nowhere t/s; ln t/s t/s2; chmod +x t/a
      truncate -s 10M t/d/hole; echo end >> t/d/hole; truncate -s 100 t/only-hole
      tar --format=\(format) -S -cf x.tar t
      castore import t; castore import --tar x.tar
      """
    )
    // A hard link that leads nowhere, to a folder, to itself, or out of the archive.
    try bench.run(
      #"""
      cat > make.py <<'END'
      import sys, tarfile
      archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
      def add(name, kind, target=""):
          info = tarfile.TarInfo(name)
          info.type, info.linkname = kind, target
          archive.addfile(info)
      add("t", tarfile.DIRTYPE)
      add("t/f", tarfile.REGTYPE)
      add("t/l", tarfile.LNKTYPE, sys.argv[1])
      archive.close()
      END
      """#
    )
    #expect(try bench.run("python3 make.py t/f | castore import --tar - --name good").count > 5)
    for target in ["t/g", "t", "t/l", "t/f/x", "../t/f/../../x", "/etc/passwd", "", "."] {
      let error = try bench.fail("python3 make.py '\(target)' | castore import --tar - --name bad")
      #expect(error.contains("hard link") || error.contains("entry"), "\(target): \(error)")
    }
    #expect(try bench.fail("castore ls bad").contains("bad"))
  }

  @Test("of what cannot be stored are errors, and name nothing")
  func refused() throws {
    let bench = try Workbench()
    try bench.run("mkdir t; echo 1 > t/a; mkfifo t/fifo; echo 1 > other")
    for (arguments, part) in [
      ("t", "fifo"),
      ("t/a other", "unexpected number of top level directory entries: 2"),
      ("-P --transform s,t,/t, t/a", "must be relative"),
      ("-P --transform s,t,../t, t/a", "leads out of the tree"),
      ("-T /dev/null", "entries: 0"),
    ] {
      let error = try bench.fail("tar -c \(arguments) | castore import --tar - --name bad")
      #expect(error.contains(part), "\(error)")
    }
    // A file with something below it.
    try bench.run(
      "tar -cf y.tar t/a --transform s,t/a,t,; mkdir u; echo 1 > u/a; tar -rf y.tar u/a --transform s,u,t,"
    )
    #expect(try bench.fail("castore import --tar y.tar").contains("lies below"))
    #expect(try bench.fail("castore import --tar missing.tar").contains("missing.tar"))
    #expect(try bench.fail("echo this is no archive | castore import --tar -").contains("archive"))
    #expect(try bench.run("castore roots") == "")
  }

  @Test("that are cut off inside of an entry are errors that say where")
  func truncation() throws {
    let bench = try Workbench()
    try bench.run(
      "mkdir t; head -c 3000 /dev/urandom > t/a; head -c 9000000 /dev/urandom > t/b; tar -cf x.tar t/a t/b; gzip -k x.tar"
    )
    for end in [700, 3000, 5000, 1_000_000, 9_000_000] {
      let error = try bench.fail("head -c \(end) x.tar | castore import --tar - --name bad")
      #expect(error.contains("cannot be read after 't/"), "\(error)")
    }
    for end in [100, 5000, 1_000_000] {
      #expect(
        try bench.fail("head -c \(end) x.tar.gz | castore import --tar - --name bad").contains(
          "cannot be read"
        )
      )
    }
    #expect(try bench.run("castore roots") == "")
  }
}
