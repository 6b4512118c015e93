import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Glibc
import Testing

@Suite("From mounting to the end", .serialized, .timeLimit(.minutes(3)))
struct LifeCycleTests {
  private static let paths = ["cached", "passthrough"]

  @Test(
    "SIGTERM and SIGINT unmount an idle mount, and the program ends well",
    arguments: [SIGTERM, SIGINT]
  )
  func idle(signal: CInt) async throws {
    let castore = try await CastoreProcess()
    try await castore.start()
    let path = castore.path
    #expect(try await onThread { try readFile(path + "/small/file") } == pattern(1000))
    castore.signal(signal)
    #expect(try await castore.end() == 0)
    #expect(castore.mounts == [])
    #expect(castore.log.contains("unmounted"))
  }

  @Test("SIGTERM while it is being read: out of sight at once, served to the end", arguments: paths)
  func busy(dataPath: String) async throws {
    let castore = try await CastoreProcess()
    try await castore.start("--data-path", dataPath)
    let path = castore.path
    let file = open(path + "/large/file", O_RDONLY)
    #expect(file >= 0)
    let reader = try spawn([
      "/bin/bash", "-c", "while cat \"$1\"/*/file; do :; done; exit 0", "_", path,
    ])
    castore.signal(SIGTERM)
    while castore.mounts != [] { try await Task.sleep(for: .milliseconds(10)) }
    // Who has a file open reads on.
    let bytes = try await onThread { () throws in
      var buffer = [UInt8](repeating: 0, count: 500_000)
      let count = pread(file, &buffer, buffer.count, 0)
      return Array(buffer.prefix(max(0, count)))
    }
    #expect(bytes == pattern(400_000))
    #expect(castore.isRunning)
    close(file)
    #expect(try await castore.end() == 0)
    waitpid(reader, nil, 0)
  }

  @Test("SIGTERM with a process inside: it ends when that leaves, or with a second signal")
  func inside() async throws {
    for leaves in [true, false] {
      let castore = try await CastoreProcess()
      try await castore.start()
      let path = castore.path
      let client = Process()
      client.executableURL = URL(fileURLWithPath: try Shell.built("fs-client"))
      client.arguments = ["sit", path + "/small"]
      let input = Pipe()
      let output = Pipe()
      client.standardInput = input
      client.standardOutput = output
      try client.run()
      _ = try await onThread { output.fileHandleForReading.availableData }
      castore.signal(SIGTERM)
      while !castore.log.contains("in use") { try await Task.sleep(for: .milliseconds(10)) }
      #expect(castore.mounts == [])
      // It still has what is below it.
      let link = "/proc/\(client.processIdentifier)/cwd/file"
      #expect(try await onThread { try readFile(link) } == pattern(1000))
      if leaves {
        try input.fileHandleForWriting.close()
        #expect(try await castore.end() == 0)
      } else {
        castore.signal(SIGTERM)
        #expect(try await castore.end() == -SIGTERM)
        try input.fileHandleForWriting.close()
      }
      try await onThread { client.waitUntilExit() }
    }
  }

  @Test("after SIGKILL the dead mount is cleared away by the next one")
  func killed() async throws {
    let castore = try await CastoreProcess()
    let path = castore.path
    for round in 0..<3 {
      try await castore.start()
      #expect(try await onThread { try readFile(path + "/small/file") } == pattern(1000))
      castore.signal(SIGKILL)
      #expect(try await castore.end() == -SIGKILL)
      #expect(castore.mounts.count == 1)
      await #expect(throws: CallError(code: ENOTCONN)) {
        try await onThread { try readFile(path + "/large/never-seen-\(round)") }
      }
    }
    try await castore.start()
    #expect(castore.mounts.count == 1)
    #expect(try await onThread { try readFile(path + "/large/file") } == pattern(400_000))
    castore.signal(SIGTERM)
    #expect(try await castore.end() == 0)
    #expect(castore.mounts == [])
  }

  @Test(
    "umount, umount -l and umount -f from outside end the program well",
    arguments: [[], ["-l"], ["-f"]]
  )
  func unmountedFromOutside(options: [String]) async throws {
    let castore = try await CastoreProcess()
    try await castore.start()
    let path = castore.path
    #expect(try await onThread { try readFile(path + "/small/file") } == pattern(1000))
    let outcome = try await onThread { try Shell.run("/bin/umount", options + [path]) }
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(try await castore.end() == 0)
    #expect(castore.mounts == [])
  }

  @Test("the abort file ends it with an error, and it can be mounted again")
  func aborted() async throws {
    let castore = try await CastoreProcess()
    try await castore.start()
    let path = castore.path
    let file = open(path + "/small/file", O_RDONLY)
    defer { close(file) }
    var status = stat()
    #expect(fstat(file, &status) == 0)
    let folder = castore.folder.path
    let minor = status.st_dev & 0xff | (status.st_dev >> 12) & 0xfff00
    let outcome = try await onThread {
      try Shell.script(
        """
        mkdir "$1/control"; mount -t fusectl none "$1/control"
        trap 'umount "$1/control"' EXIT
        echo 1 >"$1/control/$2/abort"
        """,
        folder,
        "\(minor)"
      )
    }
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(try await castore.end() == 1)
    #expect(castore.log.contains("aborted"))
    // What nobody has read yet cannot be read any more.
    var byte: UInt8 = 0
    #expect(pread(file, &byte, 1, 0) == -1)
    try await castore.start()
    #expect(castore.mounts.count == 1)
    #expect(try await onThread { try readFile(path + "/small/file") } == pattern(1000))
  }

  @Test("500 times mounted and unmounted: no descriptor, thread or memory is left behind")
  func cycles() async throws {
    let folder = try TestFolder()
    let storePath = folder.sub("store")
    do {
      let store = try LocalStore(path: storePath, create: true)
      let writer = try await store.openWrite()
      try await writer.write(pattern(100_000))
      let digest = try await writer.close()
      try store.setRoot(
        PathComponent("file"),
        to: .file(digest: digest, size: 100_000, isExecutable: false)
      )
    }
    var settled: (descriptors: [String], threads: Int, memory: Int)?
    for cycle in 0..<500 {
      let fixture = try StoreFixture(cycle % 2 == 0 ? .cached : .passthrough, storePath: storePath)
      let path = fixture.path
      let count = try await onThread { try names(path).count + readFile(path + "/file").count }
      #expect(count == 100_001)
      #expect(try await onThread { try fixture.mount.unmount() } == .ended)
      if cycle == 100 { settled = try await resources() }
    }
    let first = try #require(settled)
    var last = try await resources()
    // The task that filled the last listing may hold the store for a moment more.
    for _ in 0..<100 where last.descriptors.count > first.descriptors.count {
      try await Task.sleep(for: .milliseconds(20))
      last = try await resources()
    }
    #expect(
      last.descriptors.count <= first.descriptors.count,
      "\(first.descriptors) became \(last.descriptors)"
    )
    #expect(last.threads <= first.threads + 2, "\(threadNames())")
    // Tests allocate, too; 400 mounts that leaked a page each for every thread would show.
    #expect(last.memory - first.memory < 6 << 20, "\(first.memory) grew to \(last.memory)")
  }

  private func resources() async throws -> (descriptors: [String], threads: Int, memory: Int) {
    // Threads are gone a moment after they have said so.
    for _ in 0..<200 where threadNames().contains(where: { $0.hasPrefix("fuse-") }) {
      try await Task.sleep(for: .milliseconds(10))
    }
    let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
    let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
      .split(separator: " ")[1]
    let targets = descriptors.compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
    }
    return (targets, threadNames().count, (Int(pages) ?? 0) * 4096)
  }

  @Test("systemd is told when it is ready and when it stops", arguments: ["path", "@abstract"])
  func serviceManager(kind: String) async throws {
    let castore = try await CastoreProcess()
    let name = kind == "path" ? castore.folder.sub("notify") : "@\(castore.folder.path)/notify"
    let manager = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
    defer { close(manager) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = socklen_t(2 + bytes.count)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(manager, $0, length) }
    }
    #expect(bound == 0)
    try await castore.start(environment: ["NOTIFY_SOCKET": name])
    func message() async throws -> String {
      try await onThread {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(manager, &buffer, buffer.count, 0)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
      }
    }
    let ready = try await message()
    #expect(ready.split(separator: "\n").contains("READY=1"), "\(ready)")
    castore.signal(SIGTERM)
    #expect(try await message() == "STOPPING=1")
    #expect(try await castore.end() == 0)
  }
}
