import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// The socket, and what is left when a server ends.
@Suite("Servers")
struct ServerTests {
  /// A folder that is removed with all that is in it.
  final class Folder {
    let path: String

    init() {
      let template = NSTemporaryDirectory() + "virtiofs-test-XXXXXX"
      var bytes = Array(template.utf8CString)
      path = String(cString: mkdtemp(&bytes))
    }

    deinit {
      try? FileManager.default.removeItem(atPath: path)
    }
  }

  static func connect(_ path: String) throws -> FrontEnd {
    let socket = Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else {
      close(socket)
      throw FrontEnd.Failure.disconnected
    }
    return FrontEnd(socket: socket)
  }

  /// Runs a server on a thread; `ended` is set when `run` returned.
  static func start(
    _ server: VirtioFSServer,
    once: Bool = false
  ) throws -> Latch<Bool> {
    let ended = Latch<Bool>()
    _ = try NativeThread(name: "server") {
      do {
        try server.run(once: once)
        ended.set(true)
      } catch {
        ended.set(false)
      }
    }
    return ended
  }

  @Test("several front ends are served one after the other")
  func manyConnections() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      let fileSystem = SampleFileSystem()
      let server = try VirtioFSServer(fileSystem, socket: path)
      var status = stat()
      #expect(lstat(path, &status) == 0 && status.st_mode == S_IFSOCK | 0o600)
      let ended = try Self.start(server)
      for round in 0..<9 { try Self.visit(path, leaving: Visit.allCases[round % 3]) }
      server.stop()
      #expect(ended.wait(milliseconds: 10_000) == true)
      #expect(access(path, F_OK) != 0)
      #expect(fileSystem.record.withLock { $0.inits == $0.destroys && $0.inits >= 3 })
    }
  }

  /// When a front end goes away.
  enum Visit: CaseIterable {
    case beforeRequest
    case duringRequest
    case afterRequest
  }

  /// Connects as a front end, and waits until the device is torn down again.
  static func visit(_ path: String, leaving: Visit) throws {
    let frontEnd = try connect(path)
    try frontEnd.negotiate()
    frontEnd.regions = [
      FrontEnd.Region(guest: 0, size: 1 << 20, user: 1 << 40, name: "server-test")
    ]
    try frontEnd.setMemoryTable()
    let queue = GuestQueue(frontEnd, index: 1, base: 0x1000)
    try queue.start()
    if leaving != .beforeRequest {
      let request = Message.initialize(unique: 2)
      frontEnd.write(request, at: 0x8000)
      queue.lay(
        [
          .init(address: 0x8000, count: UInt32(request.count)),
          .init(address: 0x9000, count: 80, isWritable: true),
        ],
        at: 0
      )
      queue.submit(0)
      if leaving == .afterRequest { #expect(try queue.wait(for: 0) == 80) }
    }
    frontEnd.hangUp()
    // The next is only served when the former is torn down.
    let probe = try connect(path)
    _ = try probe.askNumber(.getFeatures)
    probe.hangUp()
  }

  @Test("connections leave no descriptor, thread or mapping behind")
  func noResidue() async {
    // A process of its own: other tests open and close all the time.
    await #expect(processExitsWith: .success) {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      let server = try VirtioFSServer(SampleFileSystem(), socket: path)
      let ended = try Self.start(server)
      func residue() throws -> [Int] {
        try ["fd", "task", "map_files"].map {
          try FileManager.default.contentsOfDirectory(atPath: "/proc/self/" + $0).count
        }
      }
      for leaving in Visit.allCases { try Self.visit(path, leaving: leaving) }
      let former = try residue()
      for round in 0..<30 { try Self.visit(path, leaving: Visit.allCases[round % 3]) }
      // The last connection may be about to be torn down still.
      var later = try residue()
      for _ in 0..<2000 where zip(later, former).contains(where: { $0 > $1 }) {
        usleep(1000)
        later = try residue()
      }
      let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
      server.stop()
      guard ended.wait(milliseconds: 10_000) == true, !maps.contains("server-test"),
        later[0] <= former[0], later[1] <= former[1], later[2] <= former[2] + 4
      else {
        print("descriptors, threads, mappings: \(former), then \(later)")
        exit(1)
      }
      exit(0)
    }
  }

  @Test("a server ends with its first front end if told so")
  func once() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      let server = try VirtioFSServer(SampleFileSystem(), socket: path)
      let ended = try Self.start(server, once: true)
      let frontEnd = try Self.connect(path)
      _ = try frontEnd.askNumber(.getFeatures)
      frontEnd.hangUp()
      #expect(ended.wait(milliseconds: 10_000) == true)
      #expect(access(path, F_OK) != 0)
    }
  }

  @Test("who connects and says nothing does not end a server that serves once")
  func probed() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      let server = try VirtioFSServer(SampleFileSystem(), socket: path)
      let ended = try Self.start(server, once: true)
      for _ in 0..<3 { try Self.connect(path).hangUp() }
      #expect(throws: VirtioFSError.self) {
        _ = try VirtioFSServer(SampleFileSystem(), socket: path)
      }
      let frontEnd = try Self.connect(path)
      // One after the other: the probes before this connection have been served.
      _ = try frontEnd.askNumber(.getFeatures)
      #expect(ended.current == nil)
      frontEnd.hangUp()
      #expect(ended.wait(milliseconds: 60_000) == true)
    }
  }

  @Test("a server stops while a front end is connected, and one is half through a message")
  func stopWhileConnected() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      let server = try VirtioFSServer(SampleFileSystem(), socket: path)
      let ended = try Self.start(server)
      let frontEnd = try Self.connect(path)
      _ = try frontEnd.askNumber(.getFeatures)
      try frontEnd.send(bytes: [1, 0, 0])
      server.stop()
      #expect(ended.wait(milliseconds: 10_000) == true)
      #expect(frontEnd.isHungUp())
    }
  }

  @Test("a server stops while requests are in flight")
  func stopWhileInFlight() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let request = Message.read(4, offset: 0, size: 100, unique: 9)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      machine.requests.lay(
        [
          .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
          .init(address: TestMachine.replyAddress, count: 200, isWritable: true),
        ],
        at: 0
      )
      machine.requests.submit(0)
      while machine.server.session.detachedCount == 0 { usleep(200) }
      machine.server.stop()
      #expect(machine.waitForEnd())
      #expect(machine.server.session.detachedCount == 0)
    }
  }

  @Test("the socket of a dead server is replaced, that of a living one is not")
  func staleSockets() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      // As a killed process leaves it: bound, and closed.
      let dead = Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
      let result = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(dead, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      #expect(result == 0)
      close(dead)
      do {
        let server = try VirtioFSServer(SampleFileSystem(), socket: path, mode: 0o660)
        _ = server
        #expect(throws: VirtioFSError.self) {
          _ = try VirtioFSServer(SampleFileSystem(), socket: path)
        }
        #expect(access(path, F_OK) == 0)
      }
      // Never run: removed all the same.
      #expect(access(path, F_OK) != 0)
      try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
      #expect(throws: VirtioFSError.self) {
        _ = try VirtioFSServer(SampleFileSystem(), socket: path)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }
  }

  @Test("a socket that somebody put in the place of ours is not removed")
  func replacedSocket() async throws {
    try await onThread {
      let folder = Folder()
      let path = folder.path + "/vm.sock"
      do {
        let first = try VirtioFSServer(SampleFileSystem(), socket: path)
        let second = try VirtioFSServer(SampleFileSystem(), socket: path + "2")
        #expect(rename(path + "2", path) == 0)
        let ended = try Self.start(first)
        first.stop()
        #expect(ended.wait(milliseconds: 10_000) == true)
        #expect(access(path, F_OK) == 0)
        _ = second
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["vm.sock"])
    }
  }

  @Test("folders may have names longer than sockets can")
  func longPath() async throws {
    try await onThread {
      let folder = Folder()
      let deep = folder.path + "/" + String(repeating: "d", count: 200)
      try FileManager.default.createDirectory(atPath: deep, withIntermediateDirectories: false)
      let server = try VirtioFSServer(SampleFileSystem(), socket: deep + "/vm.sock")
      _ = server
      #expect(access(deep + "/vm.sock", F_OK) == 0)
    }
  }

  @Test(
    "configurations that make no sense are refused",
    arguments: ["", String(repeating: "t", count: 37), "a\0b"]
  )
  func badTags(tag: String) {
    var configuration = VirtioFSConfiguration()
    configuration.tag = tag
    #expect(throws: VirtioFSError.self) {
      _ = try VirtioFSServer(SampleFileSystem(), configuration: configuration)
    }
  }

  @Test("numbers out of range are refused")
  func badNumbers() {
    for change in [
      { $0.requestQueues = 0 }, { $0.requestQueues = 65 }, { $0.maximumQueueSize = 48 },
      { $0.maximumQueueSize = 65536 }, { $0.maximumInFlight = 0 },
    ] as [(inout VirtioFSConfiguration) -> Void] {
      var configuration = VirtioFSConfiguration()
      change(&configuration)
      #expect(throws: VirtioFSError.self) {
        _ = try VirtioFSServer(SampleFileSystem(), configuration: configuration)
      }
    }
  }
}
