import Foundation
import Glibc
import Testing

/// Reading what is mounted in every way there is.
@Suite(.serialized, .ownThread)
struct MountReadingTests {
  @Test("programs run from it, and files can be mapped")
  func execution() throws {
    let (castore, tree) = try SampleStore.make()
    try castore.scratch.succeed("cp", "-L", "/bin/true", tree + "/true")
    try castore.succeed("import", "--replace", tree)
    let mount = try MountedStore(castore)
    #expect(try castore.scratch.succeed(mount.path + "/tree/script").text == "ran\n")
    #expect(try castore.scratch.succeed(mount.path + "/tree/link").text == "ran\n")
    try castore.scratch.succeed(mount.path + "/tree/true")
    let denied = try castore.scratch.run("sh", "-c", mount.path + "/tree/text")
    #expect(denied.status == .exited(126))
    let expected = NastyTree.noise(30_000_001, seed: 3)
    for kind in [MAP_SHARED, MAP_PRIVATE] {
      let file = try check(open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC), "open")
      defer { close(file) }
      let memory = mmap(nil, expected.count, PROT_READ, kind, file, 0)
      try #require(memory != MAP_FAILED)
      #expect(memcmp(try #require(memory), expected, expected.count) == 0)
      munmap(memory, expected.count)
    }
  }

  /// `sendfile(2)`, which the importer does not see.
  private typealias SendFile =
    @convention(c) (CInt, CInt, UnsafeMutablePointer<off_t>?, Int) -> Int

  @Test("cp, tar, cmp and direct reads give the same bytes")
  func copies() throws {
    let (castore, tree) = try SampleStore.make()
    let mount = try MountedStore(castore)
    let folder = try castore.scratch.makeFolder()
    try castore.scratch.succeed("cp", "-r", mount.path + "/tree", folder + "/cp")
    try castore.scratch.succeed(
      "sh",
      "-c",
      "mkdir \(folder)/tar && tar -C \(mount.path)/tree -c . | tar -C \(folder)/tar -x"
    )
    for copy in ["cp", "tar"] {
      try castore.scratch.succeed("diff", "-r", "--no-dereference", tree, "\(folder)/\(copy)")
    }
    for block in ["4096", "1M"] {
      let direct = castore.scratch.newName("direct")
      try castore.scratch.succeed(
        "dd",
        "if=\(mount.path)/tree/large",
        "of=\(direct)",
        "bs=\(block)",
        "iflag=direct"
      )
      try castore.scratch.succeed("cmp", direct, tree + "/large")
    }
    // The kernel's own copying.
    let sendFile = unsafeBitCast(
      try #require(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "sendfile")),
      to: SendFile.self
    )
    let source = try check(open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC), "open")
    defer { close(source) }
    var ends: [CInt] = [0, 0]
    try check(pipe(&ends), "pipe")
    defer { for end in ends { close(end) } }
    var place: off_t = 12_345
    let count = try check(sendFile(ends[1], source, &place, 50_000), "sendfile")
    var buffer = [UInt8](repeating: 0, count: 50_000)
    let got = try check(read(ends[0], &buffer, count), "read")
    #expect(got == count && count > 0)
    #expect(
      buffer[..<got].elementsEqual(NastyTree.noise(30_000_001, seed: 3)[12_345..<(12_345 + got)])
    )
  }

  @Test("eight readers at once all read the right bytes")
  func readers() throws {
    let (castore, tree) = try SampleStore.make()
    for number in 0..<300 {
      try NastyTree.write(
        NastyTree.noise(number * 331 % 60_000, seed: UInt64(number)),
        to: tree / "many" / "n\(number)"
      )
    }
    try castore.succeed("import", "--replace", tree)
    let mount = try MountedStore(castore)
    let readers = try (0..<8).map { number in
      try Child(
        number % 2 == 0
          ? ["diff", "-r", "--no-dereference", tree, mount.path + "/tree"]
          : ["cmp", tree + "/large", mount.path + "/tree/large"],
        scratch: castore.scratch
      )
    }
    for reader in readers {
      let outcome = try reader.wait()
      #expect(outcome.status == .exited(0), "\(outcome)")
      #expect(outcome.output.isEmpty)
    }
    #expect(try mount.unmount().status == .exited(0))
  }

  @Test("reads stop at the end, and past it there is nothing")
  func ends() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore)
    var buffer = [UInt8](repeating: 7, count: 100_000)
    for (name, size) in [("large", 30_000_001), ("empty", 0), ("script", 19)] {
      let file = try check(open(mount.path + "/tree/" + name, O_RDONLY | O_CLOEXEC), "open")
      defer { close(file) }
      for (place, expected) in [
        (size - min(size, 10), min(size, 10)), (size, 0), (size + 1, 0), (size + 1 << 20, 0),
        (1 << 40, 0), (Int(Int64.max) - 200_000, 0),
      ] {
        let count = try check(pread(file, &buffer, buffer.count, off_t(place)), "pread")
        #expect(count == expected, "\(name) at \(place)")
      }
      #expect(lseek(file, 0, SEEK_END) == off_t(size))
    }
    var space = statvfs()
    try check(statvfs(mount.path + "/tree", &space), "statvfs")
    #expect(space.f_flag & UInt(ST_RDONLY) != 0)
    #expect(space.f_namemax == 255)
    try castore.scratch.succeed("df", mount.path)
    try castore.scratch.succeed("df", "-i", mount.path)
  }

  /// `getdents64(2)`, which the importer does not see.
  private typealias GetEntries = @convention(c) (CInt, UnsafeMutableRawPointer, Int) -> Int

  @Test("a folder read with small buffers has every entry once, with the st_ino that stat shows")
  func smallBuffers() throws {
    let (castore, tree) = try SampleStore.make()
    let mount = try MountedStore(castore)
    let getEntries = unsafeBitCast(
      try #require(dlsym(UnsafeMutableRawPointer(bitPattern: 0), "getdents64")),
      to: GetEntries.self
    )
    let expected = try listNames(tree + "/many").sorted { $0.lexicographicallyPrecedes($1) }
    for size in [280, 300, 1000, 4096, 70_000] {
      let folder = try check(
        open(mount.path + "/tree/many", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        "open"
      )
      defer { close(folder) }
      var names: [[UInt8]] = []
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
      defer { buffer.deallocate() }
      while true {
        let filled = try check(getEntries(folder, buffer.baseAddress!, size), "getdents64")
        if filled == 0 { break }
        var place = 0
        while place < filled {
          // struct linux_dirent64: inode, offset, length of the record, type, name.
          let length = Int(buffer.loadUnaligned(fromByteOffset: place + 16, as: UInt16.self))
          let name = [UInt8](buffer[(place + 19)..<(place + length)].prefix { $0 != 0 })
          names.append(name)
          if size == 1000, names.count % 50 == 0 {
            let inode = buffer.loadUnaligned(fromByteOffset: place, as: UInt64.self)
            let path = name == "..".bytes ? "/tree".bytes : "/tree/many".bytes / name
            #expect(try status(mount.path.bytes + path).st_ino == UInt(inode))
          }
          place += length
        }
      }
      #expect(names.sorted { $0.lexicographicallyPrecedes($1) } == expected, "buffer of \(size)")
    }
  }

  @Test("seekdir goes back to where telldir was")
  func seeking() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore)
    for path in [mount.path + "/tree/many", mount.path] {
      let folder = try #require(opendir(path))
      defer { closedir(folder) }
      var places: [Int] = [telldir(folder)]
      var names: [[UInt8]] = []
      while let entry = readdir(folder) {
        names.append(nameBytes(entry))
        places.append(telldir(folder))
      }
      for index in stride(from: names.count - 1, through: 0, by: -max(1, names.count / 20)) {
        seekdir(folder, places[index])
        let entry = try #require(readdir(folder))
        #expect(nameBytes(entry) == names[index])
      }
      rewinddir(folder)
      var count = 0
      while readdir(folder) != nil { count += 1 }
      #expect(count == names.count)
    }
  }

  @Test("a damaged store gives errors, never wrong or short data")
  func damage() throws {
    let (castore, _) = try SampleStore.make()
    let blobs = try castore.scratch.succeed(
      "find",
      castore.storePath + "/blobs",
      "-type",
      "f",
      "-size",
      "+1M"
    ).lines
    let blob = try #require(blobs.first)
    try check(chmod(blob, 0o644), "chmod")
    try check(truncate(blob, 20_000_000), "truncate")
    let mount = try MountedStore(castore)
    #expect { try readAll(mount.path + "/tree/large") } throws: { ($0 as? CallError)?.code == EIO }
    #expect(try status(mount.path + "/tree/large").st_size == 30_000_001)
    try check(unlink(blob), "unlink")
    #expect { try readAll(mount.path + "/tree/large") } throws: { ($0 as? CallError)?.code == EIO }
    #expect(try status(mount.path + "/tree/large").st_size == 30_000_001)
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    try castore.fail("cat", "tree/large", saying: [blob])
    let copy = castore.scratch.newName("copy")
    try castore.fail("export", "tree", copy, saying: [copy + "/large", blob])
  }

  @Test(
    "with few descriptors every file can be read: those that are kept open make room",
    arguments: ["cached", "passthrough"]
  )
  func fewDescriptors(dataPath: String) throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    for number in 0..<200 {
      // Above what lies in packs or an index, so that each has a file.
      try NastyTree.write(NastyTree.noise(70_000, seed: UInt64(number)), to: tree / "f\(number)")
    }
    try castore.succeed("import", "--replace", tree)
    // Neither can be raised, nor is there much to be had.
    for limit in ["64:64", "48:48"] {
      let mount = try MountedStore(
        castore,
        "--data-path",
        dataPath,
        through: ["prlimit", "--nofile=" + limit, "--"]
      )
      try castore.scratch.succeed("diff", "-r", "--no-dereference", tree, mount.path + "/tree")
      #expect(!mount.process.errors.contains("Too many open files"), "\(mount.process.errors)")
      #expect(try mount.unmount().status == .exited(0))
    }
  }
}
