import Foundation
import Glibc
import Testing

/// A virtual machine on the socket of `castore virtiofs`: a real guest under QEMU.
@Suite(.serialized, .ownThread)
struct GuestTests {
  /// `castore virtiofs`, for as long as a test runs.
  final class Server: Sendable {
    let socket: String
    let process: Child
    private let scratch: Scratch

    init(_ castore: Castore, _ flags: any Word..., through wrapper: [any Word] = []) throws {
      scratch = castore.scratch
      // Socket paths are short.
      socket = castore.scratch.newName("s")
      let process = try castore.start(["virtiofs"] + flags + [socket], through: wrapper)
      self.process = process
      try waitUntil("the socket is there") {
        if !process.isRunning { throw CallError("virtiofs: \(try process.wait())", 0) }
        return process.errors.contains(" serving ")
      }
    }

    deinit {
      if process.isRunning { try? process.signal(SIGKILL) }
    }

    /// Starts a guest that runs a command with the tree at /mnt.
    func start(_ command: String, _ flags: [any Word] = []) throws -> Child {
      let rig = (#filePath as NSString).deletingLastPathComponent + "/../guest/run-guest.sh"
      let words: [any Word] = [
        rig, "--socket", socket, "--tag", "tree", "--daemon-pid", "\(process.pid)",
        "--timeout", "200",
      ]
      return try Child(words + flags + ["--", command], scratch: scratch)
    }

    /// Runs a guest, whose command must succeed.
    func run(_ command: String, _ flags: any Word...) throws -> Outcome {
      let outcome = try start(command, flags).wait()
      guard outcome.status == .exited(0) else {
        throw CallError("guest: \(outcome) \(process.errors)", 0)
      }
      return outcome
    }

    func stop() throws -> Outcome {
      try process.signal(SIGTERM)
      return try process.wait()
    }
  }

  /// What there is, in sums that the host and busybox both can make: contents, contents of programs, names,
  /// folders, link targets. GNU's `md5sum` puts a backslash before the line of a name that it escapes.
  private static let listing = """
    sums() { xargs -0 md5sum | sed -n 's/^\\\\*\\([0-9a-f]\\{32\\}\\)  .*/\\1/p' | sort | md5sum; }
    find . -type f -print0 | sums
    find . -type f -perm -100 -print0 | sums
    find . -print0 | tr '\\0\\n' '\\n\\001' | sort | md5sum
    find . -type d -print0 | tr '\\0\\n' '\\n\\001' | sort | md5sum
    find . -type l -print0 | xargs -0 -n 1 readlink | sort | md5sum
    """

  private func hostListing(_ tree: String, _ scratch: Scratch) throws -> [String] {
    try scratch.succeed("env", "LC_ALL=C", "sh", "-c", "cd \"$0\" && " + Self.listing, tree).lines
  }

  @Test("on one core a store elsewhere is served to a guest all the same")
  func oneCore() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.make(at: tree)
    try castore.succeed("import", tree)
    let daemon = try Daemon(castore)
    let server = try Server(
      castore,
      "--store",
      daemon.unixURL,
      through: ["taskset", "-c", "0"]
    )
    // Two at once, each waiting for what is far.
    let guest = try server.run(
      "export LC_ALL=C; cd /mnt/tree && (find . -type f -exec cat {} + >/dev/null) & "
        + "export LC_ALL=C; cd /mnt/tree && \(Self.listing); wait"
    )
    #expect(try guest.lines == hostListing(tree, castore.scratch))
    #expect(try server.stop().status == .exited(0))
  }

  @Test("numbers by place and times by content are those of a mount")
  func numbers() throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let flags = ["--inode-numbers", "place", "--mtime", "content"]
    let look = "find tree -exec stat -c '%i %Y %n' {} + | LC_ALL=C sort"
    let server = try Server(castore, flags[0], flags[1], flags[2], flags[3])
    let guest = try server.run("cd /mnt && " + look)
    let mount = try MountedStore(castore, flags[0], flags[1], flags[2], flags[3])
    let host = try castore.scratch.succeed("sh", "-c", "cd \"$0\" && " + look, mount.path)
    #expect(guest.lines == host.lines)
    let numbers = host.lines.compactMap { $0.split(separator: " ").first }
    #expect(numbers.count > 15 && Set(numbers).count == numbers.count)
    #expect(try mount.unmount().status == .exited(0))
  }

  @Test("whole trees look the same in a guest, byte for byte")
  func golden() throws {
    let castore = Castore(try Scratch())
    let nasty = castore.scratch.path + "/nasty"
    try NastyTree.make(at: nasty)
    try castore.succeed("import", "/usr/include", nasty)
    let server = try Server(castore)
    for (tree, name) in [("/usr/include", "include"), (nasty, "nasty")] {
      let guest = try server.run("export LC_ALL=C; cd /mnt/\(name) && " + Self.listing)
      #expect(try guest.lines == hostListing(tree, castore.scratch), "\(name)")
    }
    let end = try server.stop()
    #expect(end.status == .exited(0))
    #expect(!FileManager.default.fileExists(atPath: server.socket))
  }

  @Test("modes, inode numbers and refusals are those of a mount")
  func attributes() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for folder in [tree / "a", tree / "b"] {
      try NastyTree.folder(folder)
      try NastyTree.write("same", to: folder / "plain")
      try NastyTree.write("same", to: folder / "program", mode: 0o755)
    }
    try NastyTree.link(tree / "link", to: "a/plain")
    try castore.succeed("import", tree)
    let server = try Server(castore)
    let lines = try server.run(
      """
      cd /mnt/tree
      stat -c '%a %s %h' a/plain a/program a link
      for f in a/plain b/plain a b; do stat -c %i $f; done
      ls; readlink link; cat link; echo
      touch new 2>&1; rm a/plain 2>&1; echo x 2>&1 >>a/plain; mkdir a/new 2>&1
      cd /mnt/tree/a; stat ../b/plain >/dev/null; /bin/pwd
      """
    ).lines
    #expect(lines.prefix(4) == ["444 4 1", "555 4 1", "555 2 1", "444 7 1"])
    #expect(lines[4] == lines[5] && lines[6] == lines[7] && lines[4] != lines[6])
    #expect(lines[8...12] == ["a", "b", "link", "a/plain", "same"])
    #expect(lines[13...16].allSatisfy { $0.contains("Read-only file system") }, "\(lines)")
    #expect(lines.last == "/mnt/tree/a")
  }

  @Test("sixteen readers at once read what is there, over two queues and with memory above 4 GiB")
  func readers() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for number in 0..<16 {
      try NastyTree.write(
        NastyTree.noise(400_000 + number, seed: UInt64(number)),
        to: tree / "\(number)"
      )
    }
    try castore.succeed("import", tree)
    let sums = try castore.scratch.succeed("sh", "-c", "cd \"$0\" && md5sum * | sort", tree).lines
    let server = try Server(castore, "--queues", "2")
    let guest = try server.run(
      """
      cd /mnt/tree
      for n in *; do md5sum $n >/tmp/$n & done; wait
      cat /tmp/[0-9]* | sort
      """,
      "--cpus",
      "2",
      "--request-queues",
      "2",
      "--queue-size",
      "1024",
      "--memory",
      "4608"
    )
    #expect(guest.lines == sums)
  }

  @Test("a guest that is killed while it reads makes room for the next, and one may mount twice")
  func killed() throws {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    try NastyTree.write(NastyTree.noise(3_000_000, seed: 7), to: tree / "file")
    try castore.succeed("import", tree)
    let sum = try castore.scratch.succeed("sh", "-c", "md5sum <\"$0\"", tree + "/file").text
    let server = try Server(castore)
    for _ in 0..<2 {
      let victim = try server.start(
        "while :; do echo 3 >/proc/sys/vm/drop_caches; md5sum </mnt/tree/file; done"
      )
      let connections = server.process.errors.components(separatedBy: "connected").count
      // Time to boot and to be in the middle of it.
      Thread.sleep(forTimeInterval: 3)
      #expect(victim.isRunning && connections >= 1)
      try victim.signal(SIGTERM)
      _ = try victim.wait()
      // Nobody has sent FORGET: what the guest knew is freed all the same.
      func countOfEmpty() -> Int {
        server.process.errors.components(separatedBy: " 0 nodes known").count
      }
      let before = countOfEmpty()
      try waitUntil("the guest's nodes are freed") {
        try server.process.signal(SIGUSR1)
        return countOfEmpty() > before
      }
    }
    let guest = try server.run(
      """
      md5sum </mnt/tree/file
      umount /mnt && mount -t virtiofs $TAG /mnt && md5sum </mnt/tree/file
      """
    )
    #expect(guest.text == sum + sum)
    #expect(server.process.isRunning)
  }

  @Test("--once ends with the first machine")
  func once() throws {
    let castore = Castore(try Scratch())
    try castore.succeed("import", "/etc/alternatives")
    let server = try Server(castore, "--once")
    #expect(try server.run("ls /mnt").text == "alternatives\n")
    #expect(try server.process.wait().status == .exited(0))
  }
}
