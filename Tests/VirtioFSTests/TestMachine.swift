import CLinux
import FUSE
import Foundation
import Glibc
import Platform
import Testing

@testable import VirtioFS

/// A device in this process with a front end connected to it, rings in place.
///
/// Guest memory: 1 MiB at 0 and 1 MiB right behind it from another file, so that buffers may span both, and 4 MiB
/// above 4 GiB.
final class TestMachine {
  static let seam: UInt64 = 1 << 20
  static let high: UInt64 = 1 << 32

  let fileSystem: SampleFileSystem
  let server: VirtioFSServer
  let frontEnd: FrontEnd
  let hiprio: GuestQueue
  let requests: GuestQueue
  let events: Guarded<[VirtioFSEvent]>
  private let thread: Thread
  private let ended = Latch<Bool>()
  private var unique: UInt64 = 100

  init(
    features: VirtioFeatures = .offered,
    queueSize: UInt16 = 64,
    fileSystem: SampleFileSystem = SampleFileSystem(),
    configuration: VirtioFSConfiguration = VirtioFSConfiguration(),
    server: VirtioFSServer? = nil,
    starts: Bool = true
  ) throws {
    self.fileSystem = fileSystem
    let events = Guarded<[VirtioFSEvent]>([])
    self.events = events
    var configuration = configuration
    configuration.onEvent = { event in events.withLock { $0.append(event) } }
    let server = try server ?? VirtioFSServer(fileSystem, configuration: configuration)
    self.server = server
    var pair: [CInt] = [0, 0]
    precondition(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == 0)
    frontEnd = FrontEnd(socket: pair[0])
    let theirs = pair[1]
    let ended = ended
    thread = Thread {
      server.serve(OwnedDescriptor(adopting: theirs))
      ended.set(true)
    }
    thread.start()
    frontEnd.regions = [
      FrontEnd.Region(guest: 0, size: 1 << 20, user: 0x7f00_0000_0000, fileOffset: 8192),
      FrontEnd.Region(guest: Self.seam, size: 1 << 20, user: 0x7e00_0000_0000),
      FrontEnd.Region(guest: Self.high, size: 4 << 20, user: 0x7f00_0010_0000),
    ]
    let usesEventIndex = features.contains(.eventIndex)
    hiprio = GuestQueue(
      frontEnd,
      index: 0,
      size: queueSize,
      base: 0x1000,
      usesEventIndex: usesEventIndex
    )
    requests = GuestQueue(
      frontEnd,
      index: 1,
      size: queueSize,
      base: 0x40000,
      usesEventIndex: usesEventIndex
    )
    if starts {
      try frontEnd.negotiate(features: features)
      try frontEnd.setMemoryTable()
      try hiprio.start()
      try requests.start()
    }
  }

  deinit {
    frontEnd.hangUp()
    fileSystem.release()
    _ = ended.wait(milliseconds: 10_000)
  }

  /// Hangs up and waits for the device to be torn down.
  func shutDown() -> Bool {
    frontEnd.hangUp()
    return ended.wait(milliseconds: 10_000) ?? false
  }

  /// Waits for the device to end by itself.
  func waitForEnd() -> Bool { ended.wait(milliseconds: 10_000) ?? false }

  /// What the device says about a broken ring.
  func waitForFault() -> String? {
    for _ in 0..<10_000 {
      let found = events.withLock { events in
        events.compactMap { if case .ringFault(1, let fault) = $0 { fault } else { nil } }.first
      }
      if let found { return found }
      usleep(1000)
    }
    return nil
  }

  func nextUnique() -> UInt64 {
    unique += 2
    return unique
  }

  /// Where the bytes of requests and replies lie: below the seam.
  static let requestAddress: UInt64 = 0x80000
  static let replyAddress: UInt64 = 0xA0000

  /// Sends a request in one descriptor, takes the reply from another.
  func call(_ request: [UInt8], room: UInt32 = 4096) throws -> GuestReply {
    frontEnd.write(request, at: Self.requestAddress)
    requests.lay(
      [
        .init(address: Self.requestAddress, count: UInt32(request.count)),
        .init(address: Self.replyAddress, count: room, isWritable: true),
      ],
      at: 0
    )
    requests.submit(0)
    let written = try requests.wait(for: 0)
    #expect(written <= room)
    return try GuestReply(frontEnd.read(Int(written), at: Self.replyAddress))
  }

  /// Sends a read of 5000 bytes that waits for `fileSystem.release`, its reply to 4096 and 8192 bytes
  /// above `high`.
  func submitSlow(at head: UInt16) throws {
    let request = Message.read(4, offset: 0, size: 5000, unique: 70)
    frontEnd.write(request, at: Self.high)
    requests.lay(
      [
        .init(address: Self.high, count: UInt32(request.count)),
        .init(address: Self.high + 4096, count: 16, isWritable: true),
        .init(address: Self.high + 8192, count: 5000, isWritable: true),
      ],
      at: head
    )
    requests.submit(head)
    while server.session.detachedCount == 0 { usleep(200) }
  }

  @discardableResult
  func initialize() throws -> GuestReply {
    let reply = try call(Message.initialize(unique: nextUnique()))
    #expect(reply.error == 0)
    #expect(reply.body.count == 64)
    return reply
  }

  /// That the device still works.
  func checkAlive() throws {
    let unique = nextUnique()
    let reply = try call(Message.getattr(2, unique: unique))
    #expect(reply.error == 0)
    #expect(reply.unique == unique)
    #expect(reply.body.count == 104)
  }
}
