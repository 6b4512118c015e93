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

  @Test(
    "may hold files that are nothing but a hole, in all four ways of GNU tar",
    arguments: [
      "--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
      "--format=posix --sparse-version=1.0",
    ],
    [3 << 20, 40 << 20]
  )
  func holes(flags: String, size: Int) throws {
    let bench = try Workbench()
    try bench.run(
      """
      mkdir t; truncate -s \(size) t/hole t/start t/end; printf x > t/start; truncate -s \(size) t/start
      printf x >> t/end; truncate -s \(size) t/alone
      for n in 1 2 3 4 5 6 7 8; do printf $n | dd of=t/many bs=1 seek=$((n * 262144)) conv=notrunc; done
      castore import t > native
      tar \(flags) -cSf all.tar t; tar \(flags) -cSf one.tar t/alone
      castore import --tar all.tar > all; cmp native all
      castore import --tar one.tar --name one; castore export one out; cmp out/alone t/alone
      [ $(du -k out/alone | cut -f 1) -lt 100 ]; [ $(du -sk store | cut -f 1) -lt 2000 ]
      """
    )
  }

  @Test("with a map of holes that does not match what is there are errors")
  func wrongMaps() throws {
    let bench = try Workbench()
    // PAX 1.0: the map is at the start of the contents.
    try bench.run(
      #"""
      cat > make.py <<'END'
      import io, sys, tarfile
      def archive(numbers, stored, real):
          head = "".join(f"{n}\n" for n in numbers).encode()
          head += b"\0" * (-len(head) % 512)
          info = tarfile.TarInfo("t/f")
          info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                              "GNU.sparse.name": "t/f", "GNU.sparse.realsize": str(real)}
          body = head + b"x" * stored
          info.size = len(body)
          out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
          out.addfile(info, io.BytesIO(body))
          out.close()
      archive(*eval(sys.argv[1]))
      END
      """#
    )
    try bench.run(
      "python3 make.py '([1, 512, 100], 100, 5000)' | castore import --tar - --name good"
    )
    #expect(
      try bench.run("castore cat good/f | wc -c; castore cat good/f | tr -d '\\0'").hasPrefix(
        "5000"
      )
    )
    for numbers in [
      // Fewer bytes than the map says, beyond the end, overlapping, not in order, absurd.
      "[1, 0, 1000], 100, 5000", "[1, 4990, 100], 100, 5000", "[2, 0, 100, 50, 100], 200, 5000",
      "[2, 500, 100, 0, 100], 200, 5000", "[1, 0, 9223372036854775807], 100, 5000",
      "[1, 9223372036854775807, 1], 1, 5000", "[999999999], 0, 5000",
    ] {
      let error = try bench.fail(
        "python3 make.py '(\(numbers))' | castore import --tar - --name bad"
      )
      #expect(error.contains("archive") || error.contains("file"), "\(numbers): \(error)")
    }
  }

  @Test("without a folder around everything are one tree under a name")
  func manyTops() throws {
    let bench = try Workbench()
    try bench.run(
      """
      mkdir -p t/d; echo 1 > t/a; echo 2 > t/d/b; ln -s a t/l
      castore import t | cut -f 2 > native
      tar -C t -cf x.tar a d l; castore import --tar x.tar --name x | cut -f 2 | cmp - native
      tar -C t -czf y.tar d/b a l; castore import --tar - --name y < y.tar | cut -f 2 | cmp - native
      """
    )
    #expect(try bench.fail("castore import --tar x.tar").contains("With a name"))
    // A single entry stays what it is, whatever its name.
    try bench.run("tar -cf z.tar t; castore import --tar z.tar --name z | cut -f 2 | cmp - native")
  }

  @Test("lose components of their paths, as with tar", arguments: ["t", "./t", "t/."])
  func stripped(top: String) throws {
    let bench = try Workbench()
    try bench.run(
      """
      mkdir -p t/d/e; echo 0 > top; echo 1 > t/a; ln t/a t/d/b; ln -s ../a t/d/l; echo 2 > t/d/e/f
      tar -cf x.tar \(top) top
      """
    )
    for count in 0...4 {
      // tar itself says what is left; a hard link into what was left out is an error to both.
      let error = try bench.run(
        """
        rm -rf out; mkdir out; chmod 755 out
        if tar -C out --strip-components=\(count) -xf x.tar 2>err && [ -n "$(ls out)" ]; then
          castore import --name native --replace out | cut -f 2 > native
          castore import --name n\(count) --tar x.tar --strip-components \(count) | cut -f 2 | cmp - native
        else
          if castore import --tar x.tar --strip-components \(count) 2>ours; then
            echo "tar: $(cat err)"
          fi
        fi
        """
      )
      // Where nothing is left but the top itself, tar has nothing to make, and we an empty tree.
      #expect(error.isEmpty || !error.contains("Cannot"), "\(count): \(error)")
    }
    #expect(try bench.run("castore import --tar x.tar --strip-components 0").hasPrefix("x\t"))
    let error = try bench.fail("castore import --tar x.tar --strip-components 9 --name none")
    #expect(error.contains("nothing to make a tree of"))
    try bench.run(
      "! castore import --strip-components 1 t; ! castore import --tar x.tar --strip-components -1"
    )
  }

  @Test("of what cannot be stored are errors, and name nothing")
  func refused() throws {
    let bench = try Workbench()
    try bench.run("mkdir t; echo 1 > t/a; mkfifo t/fifo; echo 1 > other")
    for (arguments, part) in [
      ("t", "fifo"),
      ("-P --transform s,t,/t, t/a", "must be relative"),
      ("-P --transform s,t,../t, t/a", "leads out of the tree"),
      ("-T /dev/null", "entries: 0"),
    ] {
      let error = try bench.fail("tar -c \(arguments) | castore import --tar - --name bad")
      #expect(error.contains(part), "\(error)")
    }
    // No folder around everything, and no name for the tree.
    let error = try bench.fail("tar -c t/a other | castore import --tar -")
    #expect(error.contains("unexpected number of top level directory entries: 2"), "\(error)")
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
