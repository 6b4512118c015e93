import Foundation
import Glibc
import Testing

/// A store on one side of a socket, its users on the other.
@Suite(.serialized, .ownThread)
struct RemoteTests {
  /// A tree with odd names, shared parts and large files.
  private func makeTree(_ scratch: Scratch) throws -> String {
    let tree = scratch.path + "/source"
    try NastyTree.make(at: tree)
    try NastyTree.write(NastyTree.noise(9_000_001, seed: 8), to: tree / "large")
    return tree
  }

  @Test("what one side imports the other one reads, over a Unix socket and over TCP")
  func importAndRead() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    let daemon = try Daemon(castore, tcp: true)
    let urls = [daemon.unixURL, try #require(daemon.tcpURL)]
    for (index, url) in urls.enumerated() {
      let other = urls[1 - index]
      let name = "tree\(index)"
      let there = try castore.succeed("import", "--store", url, "--name", name, tree)
      #expect(try castore.succeed("ls", "--store", other).lines.contains(name))
      #expect(try castore.succeed("roots", "--store", other).lines.contains { $0.hasPrefix(name) })
      let copy = castore.scratch.newName("copy")
      try castore.succeed("export", "--store", other, name, copy)
      let compared = try TreeComparison.exported().expectEqual(tree, copy)
      #expect(compared > 10)
      let bytes = try castore.succeed("cat", "--store", other, name + "/large").output
      #expect(bytes == NastyTree.noise(9_000_001, seed: 8))
      // The local store under it holds the same under the same name.
      let here = try castore.succeed("import", "--name", name, tree)
      #expect(here.text == there.text)
      #expect(
        try castore.succeed("tree", "--store", other, "--json", name).output
          == castore.succeed("tree", "--json", name).output
      )
    }
    try castore.succeed("roots", "remove", "--store", daemon.unixURL, "tree0")
    #expect(try castore.roots() == ["tree1"])
    try castore.succeed("verify")
    #expect(try daemon.stop().status == .exited(0))
  }

  @Test("a mount of a store elsewhere shows what it holds; names are listed only when asked for")
  func mounted() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore, tcp: true)
    for url in [daemon.unixURL, try #require(daemon.tcpURL)] {
      let mount = try MountedStore(castore, "--store", url)
      try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
      let listing = try castore.scratch.run("ls", mount.path)
      #expect(listing.status != .exited(0) && listing.errors.contains("not permitted"))
      #expect(try mount.unmount().status == .exited(0))
    }
    let mount = try MountedStore(castore, "--store", daemon.unixURL, "--list-root")
    #expect(try castore.scratch.succeed("ls", mount.path).lines == ["tree"])
  }

  @Test("what was read stays near: the second time it is there without the server, passthrough too")
  func cached() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore)
    let near = "local:" + castore.scratch.path + "/near"
    do {
      let mount = try MountedStore(castore, "--store", daemon.unixURL, "--cache", near)
      try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
      #expect(try mount.unmount().status == .exited(0))
    }
    try castore.succeed("verify", "--store", near)
    try daemon.kill()
    for path in ["cached", "passthrough"] {
      let mount = try MountedStore(
        castore,
        "--store",
        daemon.unixURL,
        "--cache",
        near,
        "--data-path",
        path
      )
      #expect(mount.process.errors.contains("data path \(path)"))
      try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
      #expect(try mount.unmount().status == .exited(0))
    }
  }

  @Test("a mount outlives its daemon: names stay, with what is mounted below them")
  func daemonGone() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore)
    let mount = try MountedStore(castore, "--store", daemon.unixURL)
    let place = mount.path + "/tree/empty folder"
    try castore.scratch.succeed("mount", "-t", "tmpfs", "below", place)
    defer { umount2(place, CInt(MNT_DETACH)) }
    try NastyTree.write("here\n", to: place + "/mark")
    try daemon.kill()
    // Longer than a name is relied on.
    for _ in 0..<3 {
      usleep(1_200_000)
      #expect(try readAll(place + "/mark") == "here\n".bytes)
    }
    #expect(mount.process.errors.contains("stays what it was"))
  }

  @Test("a cache that holds a part: auto takes the same way as before, and every file can be read")
  func partlyCached() throws {
    let castore = Castore(try Scratch())
    let tree = try castore.scratch.makeFolder("source")
    let sizes = [20_000_000, 3_000_001, 2_000_000, 100_000, 5000]
    for (number, size) in sizes.enumerated() {
      let bytes = NastyTree.noise(size, seed: UInt64(number) + 20)
      try NastyTree.write(bytes, to: tree / "f\(number)")
    }
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore)
    let near = "local:" + castore.scratch.path + "/near"
    // One large file first, then, with the cache holding it, the others and it again.
    for names in [["f0"], ["f1", "f0"], ["f0", "f1", "f2", "f3", "f4"]] {
      let mount = try MountedStore(castore, "--store", daemon.unixURL, "--cache", near)
      #expect(mount.process.errors.contains("data path passthrough"), "\(mount.process.errors)")
      for name in names {
        try castore.scratch.succeed("cmp", tree + "/" + name, mount.path + "/tree/" + name)
      }
      let outcome = try mount.unmount()
      #expect(outcome.status == .exited(0) && !outcome.errors.contains("warning"), "\(outcome)")
    }
  }

  @Test("on one core a mount of a store elsewhere goes on, with and without a cache")
  func oneCore() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore)
    let near = "local:" + castore.scratch.path + "/near"
    for cache in [[], ["--cache", near], ["--cache", near, "--data-path", "passthrough"]] {
      let mount = try MountedStore(
        castore,
        flags: ["--store", daemon.unixURL] + cache,
        through: ["taskset", "-c", "0"]
      )
      // Several at once, each waiting for what is far.
      let readers = try (0..<4).map { _ in
        try Child(
          ["diff", "-r", "--no-dereference", tree, mount.path + "/tree"],
          scratch: castore.scratch
        )
      }
      for reader in readers { #expect(try reader.wait().status == .exited(0)) }
      #expect(try mount.unmount().status == .exited(0))
    }
  }

  @Test("a composition file joins a near and a far store")
  func composed() throws {
    let castore = Castore(try Scratch())
    let tree = try makeTree(castore.scratch)
    try castore.succeed("import", "--name", "tree", tree)
    let daemon = try Daemon(castore)
    let near = castore.scratch.path + "/near"
    let file = castore.scratch.path + "/store.toml"
    let text = """
      [blobservices.near]
      type = "local"
      path = "\(near)"
      [blobservices.far]
      type = "grpc"
      url = "\(daemon.unixURL)"
      [blobservices.root]
      type = "cache"
      near = "near"
      far = "far"
      [directoryservices.root]
      type = "cache"
      near = "near"
      far = "far"
      [directoryservices.near]
      type = "local"
      path = "\(near)"
      [directoryservices.far]
      type = "grpc"
      url = "\(daemon.unixURL)"
      [rootservices.root]
      type = "grpc"
      url = "\(daemon.unixURL)"
      """
    try NastyTree.write(text, to: file)
    let mount = try MountedStore(castore, "--composition", file)
    try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
    #expect(try mount.unmount().status == .exited(0))
    let outcome = try castore.succeed("stats", "--store", "local:" + near)
    #expect(
      outcome.text.contains("names        0 roots") && !outcome.text.contains("blobs        0")
    )

    try NastyTree.write(text.replacing("\"far\"", with: "\"root\""), to: file)
    try castore.fail("ls", "--composition", file, "tree", saying: ["itself"], status: 64)
    try NastyTree.write(text + "\nsurprise = 1\n", to: file)
    try castore.fail("ls", "--composition", file, "tree", saying: ["surprise"], status: 64)
  }

  @Test("copy sends what is missing only, and goes on where it was broken off")
  func copied() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for index in 0..<120 {
      try NastyTree.write(NastyTree.noise(1_300_000, seed: UInt64(index)), to: tree / "f\(index)")
    }
    try castore.succeed("import", tree)
    let far = Castore(castore.scratch, store: castore.scratch.path + "/far")
    let daemon = try Daemon(far)

    let first = try castore.start(["copy", "--to", daemon.unixURL, "tree"])
    try waitUntil("some of it is there") { try far.blobFiles() > 3 }
    try first.signal(SIGKILL)
    _ = try first.wait()
    #expect(try far.roots() == [])
    let arrived = try far.blobFiles()

    let second = try castore.succeed("copy", "--to", daemon.unixURL, "--json", "tree")
    let sent = try #require(try objects(second).first?["blobsSent"] as? Int)
    #expect(sent <= 120 - arrived + 64 && sent > 0)
    #expect(try far.roots() == ["tree"])
    let third = try castore.succeed("copy", "--to", daemon.unixURL, "--json", "tree")
    #expect(try objects(third).first?["blobsSent"] as? Int == 0)
    #expect(try objects(third).first?["directoriesSent"] as? Int == 0)
    try far.succeed("verify")

    // And back, into a store that there was none of.
    let back = "local:" + castore.scratch.path + "/back"
    try castore.succeed("copy", "--store", daemon.unixURL, "--to", back, "tree")
    try castore.succeed("verify", "--store", back)
    #expect(
      try castore.succeed("roots", "--store", back).output == castore.succeed("roots").output
    )
    // A name that is taken is kept.
    try castore.succeed("import", "--replace", "--name", "tree", tree / "f1")
    try castore.fail("copy", "--to", back, "tree", saying: ["tree", "--replace"])
    try castore.succeed("copy", "--replace", "--to", back, "tree")
  }

  @Test("an upload that is interrupted ends, whenever that is")
  func interrupted() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for index in 0..<40 {
      try NastyTree.write(NastyTree.noise(3_000_000, seed: UInt64(index)), to: tree / "f\(index)")
    }
    try castore.succeed("import", tree)
    let far = Castore(castore.scratch, store: castore.scratch.path + "/far")
    let daemon = try Daemon(far)
    for round in 0..<5 {
      let copy = try castore.start(["copy", "--to", daemon.unixURL, "tree"])
      let before = try far.blobFiles()
      try waitUntil("it is under way") {
        try far.blobFiles() > before || !copy.isRunning
      }
      usleep(UInt32(round * 20_000))
      if copy.isRunning { try copy.signal(SIGINT) }
      _ = try copy.wait()
    }
    #expect(try daemon.stop().status == .exited(0))
  }

  @Test("of twenty daemons that start on the socket of a dead one, one serves")
  func twenty() throws {
    let castore = Castore(try Scratch())
    let dead = try Daemon(castore)
    try dead.kill()
    let path = castore.scratch.path + "/s.sock"
    #expect(access(path, F_OK) == 0)
    let starters = try (0..<20).map { _ in
      try castore.start(["daemon", "--listen", "unix:" + path])
    }
    defer { for starter in starters where starter.isRunning { try? starter.signal(SIGKILL) } }
    try waitUntil("all but one have given up") { starters.count { $0.isRunning } == 1 }
    let server = try #require(starters.first { $0.isRunning })
    try waitUntil("it serves") { server.errors.contains(" serving ") }
    try castore.succeed("roots", "--store", dead.unixURL)
    try server.signal(SIGTERM)
    #expect(try server.wait().status == .exited(0))
    for starter in starters where starter !== server {
      #expect(try starter.wait().errors.contains("s.sock"))
    }
  }

  @Test("what was done before a failure is printed, as whole JSON")
  func partialJSON() throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    let outcome = try castore.run("import", "--json", "--name", "other", tree / "many", "--replace")
    #expect(try objects(outcome).count == 1)
    let both = try castore.run("import", "--json", tree / "many", tree / "missing")
    #expect(both.status != .exited(0))
    #expect(try objects(both).compactMap { $0["name"] as? String } == ["many"])
    let copy = try castore.run(
      "copy",
      "--json",
      "--to",
      "local:" + castore.scratch.path + "/copy",
      "many",
      "other"
    )
    #expect(try objects(copy).count == 2)
    try castore.succeed("import", "--replace", "--name", "other", tree)
    let taken = try castore.run(
      "copy",
      "--json",
      "--to",
      "local:" + castore.scratch.path + "/copy",
      "many",
      "other"
    )
    #expect(taken.status != .exited(0))
    #expect(try objects(taken).compactMap { $0["name"] as? String } == ["many"])
  }

  private func objects(_ outcome: Outcome) throws -> [[String: Any]] {
    let value = try JSONSerialization.jsonObject(with: Data(outcome.output))
    return value as? [[String: Any]] ?? []
  }

  @Test("a server that dies is EIO in bounded time, and all is well when it is back")
  func killed() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    let bytes = NastyTree.noise(30_000_000, seed: 1)
    try NastyTree.write(bytes, to: tree / "large")
    try NastyTree.write("small", to: tree / "small")
    try castore.succeed("import", tree)
    let daemon = try Daemon(castore)
    let mount = try MountedStore(castore, "--store", daemon.unixURL)
    let file = open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC)
    try #require(file >= 0)
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    #expect(pread(file, &buffer, buffer.count, 0) == buffer.count)
    try daemon.kill()
    // Far beyond what the kernel has read ahead.
    #expect(pread(file, &buffer, buffer.count, 20_000_000) == -1 && errno == EIO)
    #expect(mount.process.isRunning)

    let again = try Daemon(castore)
    var found = -1
    for _ in 0..<200 where found < 0 {
      found = pread(file, &buffer, buffer.count, 20_000_000)
      if found < 0 { usleep(100_000) }
    }
    #expect(found == buffer.count && buffer[...] == bytes[20_000_000..<20_000_000 + buffer.count])
    #expect(try readAll(mount.path + "/tree/small") == "small".bytes)
    #expect(try readAll(mount.path + "/tree/large") == bytes)
    #expect(try again.stop().status == .exited(0))
  }

  @Test("a daemon that only reads takes nothing")
  func readOnly() throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    let daemon = try Daemon(castore, "--read-only")
    #expect(try castore.succeed("ls", "--store", daemon.unixURL).lines == ["tree"])
    try castore.fail(
      "import",
      "--store",
      daemon.unixURL,
      "--name",
      "other",
      tree / "many",
      saying: ["can only be read"]
    )
    try castore.fail(
      "roots",
      "remove",
      "--store",
      daemon.unixURL,
      "tree",
      saying: ["can"]
    )
    #expect(try castore.roots() == ["tree"])
  }

  @Test("addresses that are none, and servers that are not there, are one clear error")
  func addresses() throws {
    let castore = Castore(try Scratch())
    for (url, word) in [
      ("ftp://host", "unknown scheme"), ("grpc+http://", "host"), ("grpc+unix:", "PATH"),
      ("memory:x", "memory"), ("local:", "local:PATH"), ("nonsense:x", "unknown scheme"),
      ("grpc+http://host/path", "path"),
    ] {
      try castore.fail("ls", "--store", url, saying: [word], status: 64)
      try castore.fail(
        "copy",
        "--store",
        "memory:",
        "--to",
        url,
        "x",
        saying: ["--to", word],
        status: 64
      )
    }
    let odd: [UInt8] = "local:/tmp/x".bytes + [0xFF]
    try castore.fail("ls", "--store", odd, saying: ["--store", "\\xff", "not UTF-8"], status: 64)
    try castore.fail(
      "mount",
      Array("/tmp/x".utf8) + [0xFF],
      saying: ["mount point", "not UTF-8"],
      status: 64
    )
    let nobody = "grpc+unix://" + castore.scratch.path + "/nobody.sock"
    try castore.fail("ls", "--store", nobody, saying: ["nobody.sock"])
    try castore.fail("gc", "--store", nobody, saying: ["on this machine"], status: 64)
    try castore.fail("daemon", "--listen", "nonsense", saying: ["nonsense"], status: 64)
    try castore.fail("daemon", "--tls-key", "k", saying: ["--tls-certificates"], status: 64)
  }
}
