import CLinux
import Foundation
import Glibc
import Platform
import Testing

/// What people expect of what is mounted.
@Suite(.serialized, .ownThread)
struct MountTests {
  /// The same folder at two places, a script, a large file.
  private func makeStore() throws -> (castore: Castore, tree: String) {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for place in ["a", "b"] {
      try NastyTree.folder(tree / place)
      try NastyTree.folder(tree / place / "same")
      try NastyTree.write("kept", to: tree / place / "same" / "keep")
      try NastyTree.write("only in \(place)", to: tree / place / place)
    }
    try NastyTree.write("#!/bin/sh\necho ran\n", to: tree / "script", mode: 0o755)
    try NastyTree.write("#!/bin/sh\necho ran\n", to: tree / "text")
    try NastyTree.write(NastyTree.noise(30_000_001, seed: 3), to: tree / "large")
    try NastyTree.write("", to: tree / "empty")
    try NastyTree.link(tree / "link", to: "script")
    try NastyTree.folder(tree / "many")
    for number in 0..<2000 { try NastyTree.write("\(number)", to: tree / "many" / "f\(number)") }
    try castore.succeed("import", tree)
    return (castore, tree)
  }

  private func status(_ path: any Word) throws -> stat {
    var status = stat()
    try path.bytes.withCPath { _ = try check(lstat($0, &status), "lstat") }
    return status
  }

  @Test(
    "equal content has one st_ino, and a process stays where it is when the other place is looked at"
  )
  func places() throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore)
    let root = mount.path + "/tree"
    let go = castore.scratch.path + "/go"
    let process = try Child(
      [
        "sh", "-c", "until [ -e \"$1\" ]; do sleep 0.02; done; ls ..; cat keep; pwd -P", "sh",
        castore.scratch.path + "/go",
      ],
      scratch: castore.scratch,
      folder: root + "/a/same"
    )
    try waitUntil("it is there") {
      let place = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(process.pid)/cwd"
      )
      return place == root + "/a/same"
    }
    for _ in 0..<3 {
      #expect(try readAll(root + "/b/same/keep") == "kept".bytes)
      try castore.scratch.succeed("ls", "-lR", root)
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/cwd")
          == root + "/a/same"
      )
    }
    let (a, b) = (try status(root + "/a/same"), try status(root + "/b/same"))
    #expect(a.st_ino == b.st_ino)
    #expect(
      try status(root + "/a/same/keep").st_ino == status(root + "/b/same/keep").st_ino
    )
    // The executable bit is part of what a file is.
    #expect(try status(root + "/script").st_ino != status(root + "/text").st_ino)
    try NastyTree.write("now\n", to: go)
    let outcome = try process.wait()
    #expect(outcome.text == "a\nsame\nkept\(root)/a/same\n", "\(outcome)")
  }

  @Test("a second ls -lR sends no more than a handful of requests")
  func secondListing() throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore)
    try castore.scratch.succeed("ls", "-lR", mount.path)
    let before = try mount.requestCounts()
    try castore.scratch.succeed("ls", "-lR", mount.path)
    let requests = try mount.requests(since: before)
    #expect(requests.values.reduce(0, +) <= 5, "\(requests)")
    // And reading twice reads once; the second time nothing is even opened.
    try castore.scratch.succeed("md5sum", mount.path + "/tree/large")
    let read = try mount.requestCounts()
    try castore.scratch.succeed("md5sum", mount.path + "/tree/large")
    let again = try mount.requests(since: read)
    #expect(again.values.reduce(0, +) <= 3, "\(again)")
  }

  @Test("an idle mount ends with SIGINT and SIGTERM", arguments: [SIGINT, SIGTERM])
  func idle(_ signal: CInt) throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore)
    #expect(try listNames(mount.path).map { String(decoding: $0, as: UTF8.self) }.contains("tree"))
    try mount.process.signal(signal)
    let outcome = try mount.process.wait()
    #expect(outcome.status == .exited(0), "\(outcome)")
    #expect(!mount.isMounted)
    #expect(try listNames(mount.path).count == 2)
  }

  /// A process in a folder of the mount that reads a file there when it is told to.
  private func makeUser(_ mount: MountedStore, _ castore: Castore) throws -> Child {
    let go = castore.scratch.path + "/go"
    let user = try Child(
      [
        "sh", "-c",
        "echo here; until [ -e \"$1\" ]; do sleep 0.02; done; cat same/keep a; md5sum < ../large",
        "sh", go,
      ],
      scratch: castore.scratch,
      folder: mount.path + "/tree/a"
    )
    try waitUntil("it is there") {
      let place = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(user.pid)/cwd"
      )
      return place == mount.path + "/tree/a"
    }
    return user
  }

  @Test("a busy mount is detached by SIGTERM and served until its last user leaves")
  func busy() throws {
    let (castore, tree) = try makeStore()
    let mount = try MountedStore(castore)
    let user = try makeUser(mount, castore)
    try mount.process.signal(SIGTERM)
    try waitUntil("it is out of sight") { !mount.isMounted }
    try waitUntil("it says so") { mount.process.errors.contains("in use") }
    #expect(mount.process.isRunning)
    try NastyTree.write("now\n", to: castore.scratch.path + "/go")
    let sum = try castore.scratch.succeed("sh", "-c", "md5sum < \(tree)/large").text
    let outcome = try user.wait()
    #expect(outcome.text == "here\nkeptonly in a" + sum, "\(outcome)")
    #expect(try mount.process.wait().status == .exited(0))
  }

  @Test("a second signal ends a mount that is still in use")
  func busyTwice() throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore)
    let user = try makeUser(mount, castore)
    try mount.process.signal(SIGTERM)
    try waitUntil("it says that it is in use") { mount.process.errors.contains("in use") }
    try mount.process.signal(SIGTERM)
    #expect(try mount.process.wait().status == .killed(SIGTERM))
    try NastyTree.write("now\n", to: castore.scratch.path + "/go")
    // Errors, but no hanging.
    _ = try user.wait()
  }

  @Test("a killed mount can be mounted over", arguments: ["%", "./mnt", "mnt/", "link"])
  func killed(_ path: String) throws {
    let (castore, _) = try makeStore()
    let point = castore.scratch.path + "/mnt"
    try NastyTree.folder(point)
    try NastyTree.link(castore.scratch.path + "/link", to: "mnt")
    let mount = try MountedStore(castore, at: point)
    let given = path == "%" ? point : path
    let file = try check(open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC), "open")
    defer { close(file) }
    try mount.process.signal(SIGKILL)
    #expect(try mount.process.wait().status == .killed(SIGKILL))
    #expect(throws: CallError.self) { try listNames(mount.path) }
    let again = try MountedStore(
      castore,
      at: mount.path,
      givenAs: given,
      from: castore.scratch.path
    )
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    #expect(Scratch.mountPoints(below: mount.path).count == 1)
    #expect(try again.unmount().status == .exited(0))
  }

  @Test("umount from outside ends the process well")
  func unmountedOutside() throws {
    let (castore, _) = try makeStore()
    for command in ["umount", "fusermount3 -u"] {
      let mount = try MountedStore(castore)
      try castore.scratch.succeed("sh", "-c", "\(command) \(mount.path)")
      let outcome = try mount.process.wait()
      #expect(outcome.status == .exited(0), "\(outcome)")
    }
  }

  @Test("a mount point that cannot be one is an error that names it")
  func badMountPoints() throws {
    let (castore, tree) = try makeStore()
    try castore.fail("mount", tree + "/nothing", saying: [tree + "/nothing", "No such file"])
    try castore.fail("mount", tree + "/a/a", saying: [tree + "/a/a", "Not a directory"])
    try castore.fail("mount", "", saying: ["mount point"], status: 64)
    let none = Castore(castore.scratch, store: castore.scratch.path + "/none")
    try none.fail("mount", tree, saying: [castore.scratch.path + "/none"])
    #expect(Scratch.mountPoints(below: castore.scratch.path).isEmpty)
  }

  @Test("a mount may stand on another")
  func stacked() throws {
    let (castore, _) = try makeStore()
    let below = try MountedStore(castore)
    let above = try MountedStore(castore, at: below.path)
    #expect(try readAll(below.path + "/tree/a/a") == "only in a".bytes)
    #expect(try above.unmount().status == .exited(0))
    #expect(try readAll(below.path + "/tree/a/a") == "only in a".bytes)
    #expect(try below.unmount().status == .exited(0))
  }

  @Test("a root that may not be listed shows the names that one knows")
  func unlisted() throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore, "--no-list-root")
    #expect { try listNames(mount.path) } throws: { ($0 as? CallError)?.code == EPERM }
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    #expect(try listNames(mount.path + "/tree/a").count == 4)
    #expect { try status(mount.path + "/other") } throws: { ($0 as? CallError)?.code == ENOENT }
    #expect(try mount.unmount().status == .exited(0))
    let listed = try MountedStore(castore, "--list-root")
    #expect(try listNames(listed.path).count == 3)
  }

  @Test("owner, times and threads are what was asked for", arguments: ["1", "7"])
  func options(_ threads: String) throws {
    let (castore, tree) = try makeStore()
    let mount = try MountedStore(
      castore,
      "--owner",
      "1234:5678",
      "--mtime",
      "0",
      "--threads",
      threads
    )
    for name in ["", "/tree", "/tree/script", "/tree/link", "/tree/a"] {
      let found = try status(mount.path + name)
      #expect(found.st_uid == 1234 && found.st_gid == 5678)
      #expect(found.st_mtim.tv_sec == 0 && found.st_ctim.tv_sec == 0)
    }
    let tasks = try listNames("/proc/\(mount.process.pid)/task").count - 2
    #expect(tasks >= Int(threads)!)
    try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
    let plain = try MountedStore(castore)
    let found = try status(plain.path + "/tree/script")
    #expect(found.st_uid == 0 && found.st_gid == 0 && found.st_mtim.tv_sec == 1)
  }

  @Test("extended attributes show digests where they are asked for")
  func extendedAttributes() throws {
    let (castore, tree) = try makeStore()
    let list = ["getfattr", "-d", "-m", "-", "--absolute-names"]
    let plain = try MountedStore(castore)
    let nothing = try Child(list + [plain.path + "/tree/script"], scratch: castore.scratch).wait()
    #expect(nothing.text.isEmpty)
    let mount = try MountedStore(castore, "--show-xattr")
    let sum = try castore.scratch.succeed("b3sum", "--raw", tree + "/script").output
    let digest = "b3:" + Data(sum).base64EncodedString()
    let shown = try Child(list + [mount.path + "/tree/script"], scratch: castore.scratch).wait()
    #expect(shown.status == .exited(0))
    #expect(shown.text.contains(digest), "\(shown.text)")
    let listed = try castore.succeed("ls", "--json", "tree")
    let entries = try #require(try objects(listed))
    let folder = try #require(entries.first { $0["name"] as? String == "a" }?["digest"] as? String)
    let other = try Child(list + [mount.path + "/tree/a"], scratch: castore.scratch).wait()
    #expect(other.text.contains(folder))
  }

  @Test("programs run from it, and files can be mapped")
  func execution() throws {
    let (castore, tree) = try makeStore()
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
    let (castore, tree) = try makeStore()
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
    let (castore, tree) = try makeStore()
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
    let (castore, _) = try makeStore()
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

  @Test("nothing can be changed")
  func readOnly() throws {
    let (castore, _) = try makeStore()
    let mount = try MountedStore(castore)
    let script = mount.path + "/tree/script"
    func refused(_ call: String, _ result: CInt) {
      #expect(result == -1 && errno == EROFS, "\(call): \(result), \(errno)")
    }
    refused("open", open(script, O_WRONLY))
    refused("open", open(script, O_RDWR | O_TRUNC))
    refused("create", open(mount.path + "/tree/new", O_WRONLY | O_CREAT, 0o644))
    refused("create", open(mount.path + "/new", O_WRONLY | O_CREAT, 0o644))
    refused("mkdir", mkdir(mount.path + "/tree/new", 0o755))
    refused("unlink", unlink(script))
    refused("rename", rename(script, mount.path + "/tree/other"))
    refused("chmod", chmod(script, 0o777))
    refused("chown", chown(script, 1, 1))
    refused("symlink", symlink("x", mount.path + "/tree/new"))
    refused("truncate", truncate(script, 0))
    refused("access", access(script, W_OK))
    #expect(access(script, X_OK) == 0)
    #expect(access(mount.path + "/tree/text", X_OK) == -1)
  }

  /// `getdents64(2)`, which the importer does not see.
  private typealias GetEntries = @convention(c) (CInt, UnsafeMutableRawPointer, Int) -> Int

  @Test("a folder read with small buffers has every entry once, with the st_ino that stat shows")
  func smallBuffers() throws {
    let (castore, tree) = try makeStore()
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
    let (castore, _) = try makeStore()
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

  @Test("what is imported while it is mounted shows up, and what is removed goes")
  func changes() throws {
    let (castore, tree) = try makeStore()
    let mount = try MountedStore(castore)
    #expect { try status(mount.path + "/later") } throws: { ($0 as? CallError)?.code == ENOENT }
    #expect(try listNames(mount.path).count == 3)
    try castore.succeed("import", "--name", "later", tree + "/a")
    try waitUntil("the new root is seen") { (try? status(mount.path + "/later")) != nil }
    #expect(try readAll(mount.path + "/later/a") == "only in a".bytes)
    try waitUntil("the new root is listed") { try listNames(mount.path).count == 4 }
    // What is open stays what it was when the name is re-pointed.
    let file = try check(open(mount.path + "/later/a", O_RDONLY | O_CLOEXEC), "open")
    defer { close(file) }
    try castore.succeed("import", "--replace", "--name", "later", tree + "/b")
    try waitUntil("the new content is seen") { (try? status(mount.path + "/later/b")) != nil }
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = try check(pread(file, &buffer, 100, 0), "pread")
    #expect(buffer[..<count].elementsEqual("only in a".utf8))
    try castore.succeed("roots", "remove", "later")
    try waitUntil("the root is gone") { (try? status(mount.path + "/later")) == nil }
    try waitUntil("it is not listed") { try listNames(mount.path).count == 3 }
  }

  @Test("a damaged store gives errors, never wrong or short data")
  func damage() throws {
    let (castore, _) = try makeStore()
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
}
