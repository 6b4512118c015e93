import Glibc
import Platform
import Testing

@testable import FUSE

@Suite("Replies", .timeLimit(.minutes(1)))
struct ReplyTests {
  let channel = FakeChannel()
  let session: Session
  let worker: Worker

  init() {
    let fileSystem = TinyFileSystem([
      ("bytes", .bytes(Array(0..<200))), ("failing", .failing(size: 100)), ("waiting", .waiting),
      ("dropping", .dropping), ("link", .link(Array("target".utf8))),
      ("folder/" + String(repeating: "n", count: 255), .bytes([])),
    ])
    session = Session(fileSystem: fileSystem)
    worker = session.makeWorker(channel: channel)
    worker.handle(.initialize())
  }

  /// The replies after the one to INIT.
  var replies: [FakeChannel.Sent] { Array(channel.sent.dropFirst()) }

  @Test("carry the request's id and token")
  func identity() {
    worker.handle(Message(.readlink, unique: 1 << 63 | 4, node: 6), token: 77)
    #expect(
      replies == [
        .init(unique: 1 << 63 | 4, error: 0, body: Array("target".utf8), token: 77)
      ]
    )
  }

  @Test("dropped, they answer EIO once")
  func dropped() {
    worker.handle(.read(5, size: 10))
    #expect(replies.map(\.error) == [-EIO])
  }

  @Test("read answers are cut at what was asked for, and short ones are EIO")
  func reads() {
    worker.handle(.read(2, offset: 190, size: 5))
    worker.handle(.read(2, offset: 190, size: 50))
    worker.handle(.read(2, offset: 1 << 40, size: 50))
    worker.handle(.read(2, offset: .max, size: 50))
    worker.handle(.read(3, offset: 0, size: 50))
    #expect(replies.map(\.body.count) == [5, 10, 0, 0, 0])
    #expect(replies.map(\.error) == [0, 0, 0, -EINVAL, -EIO])
  }

  @Test("never exceed what the client takes")
  func capacity() {
    worker.handle(.read(2, size: 50), replyCapacity: 16 + 20)
    worker.handle(
      Message(.getattr, node: 2, [Message.pack(UInt64(0), UInt64(0))]),
      replyCapacity: 50
    )
    worker.handle(.read(2, size: 50), replyCapacity: 0)
    worker.handle(.readdir(size: .max), replyCapacity: 16 + 64)
    #expect(replies[0].body.count == 20)
    #expect(replies[1].error == -EIO)
    #expect(replies[2].body.isEmpty)
    // `.` and `..` with 32 bytes each.
    #expect(replies[3].body.count == 64)
  }

  @Test("a body that cannot be sent becomes EIO")
  func sendFailure() {
    channel.failures.withLock { $0 = 1 }
    worker.handle(.read(2, size: 50))
    #expect(replies.map(\.error) == [-EIO])
  }

  @Test("nodes of an answer that does not arrive are given back")
  func lostAnswers() {
    let name = [UInt8](repeating: UInt8(ascii: "n"), count: 255)
    let fileSystem = TinyFileSystem([
      ("one", .bytes([])), ("another", .bytes([])),
      (String(decoding: name, as: UTF8.self), .bytes([])),
    ])
    let session = Session(fileSystem: fileSystem)
    let worker = session.makeWorker(channel: channel)
    worker.handle(.initialize())
    func forgotten() -> [UInt64: UInt64] { fileSystem.forgotten.withLock { $0 } }
    worker.handle(Message(.lookup, [Message.name("one")]))
    worker.handle(.readdir(.readdirplus, size: 4096))
    #expect(forgotten() == [:])
    for result in [SendResult.failed, .clientGone] {
      channel.failure.withLock { $0 = result }
      channel.failures.withLock { $0 = 1 }
      worker.handle(Message(.lookup, [Message.name("one")]))
    }
    #expect(forgotten() == [2: 2])
    // Without attributes nothing is counted; and a miss is not a node.
    channel.failures.withLock { $0 = 1 }
    worker.handle(.readdir(size: 4096))
    channel.failures.withLock { $0 = 1 }
    worker.handle(Message(.lookup, [Message.name("none")]))
    #expect(forgotten() == [2: 2])
    channel.failures.withLock { $0 = 1 }
    worker.handle(.readdir(.readdirplus, size: 4096))
    #expect(forgotten() == [2: 3, 3: 1, 4: 1])
    // Larger than what the client takes.
    worker.handle(Message(.lookup, [Message.name("one")]), replyCapacity: 50)
    #expect(forgotten() == [2: 4, 3: 1, 4: 1])
    #expect(channel.failures.withLock { $0 } == 0)
  }

  @Test("a listing stops before what does not fit, and says so if that is the first")
  func listings() {
    worker.handle(.readdir(node: 7, cookie: 2, size: 279))
    worker.handle(.readdir(node: 7, cookie: 2, size: 280))
    worker.handle(.readdir(.readdirplus, node: 7, cookie: 2, size: 407))
    worker.handle(.readdir(.readdirplus, node: 7, cookie: 2, size: 408))
    worker.handle(.readdir(node: 7, cookie: 3, size: 4096))
    worker.handle(.readdir(node: 7, cookie: .max, size: 4096))
    #expect(replies.map(\.error) == [-EINVAL, 0, -EINVAL, 0, 0, 0])
    #expect(replies.map(\.body.count) == [0, 280, 0, 408, 0, 0])
  }

  @Test("detached, they are answered by whoever is first: interrupt, end, or owner")
  func detached() async {
    worker.handle(.read(4, unique: 2, size: 10))
    worker.handle(.read(4, unique: 4, size: 10))
    worker.handle(Message(.interrupt, unique: 3, [Message.pack(UInt64(2))]))
    #expect(replies.map(\.unique) == [2])
    // One that is not there: the kernel is asked to try again, later.
    worker.handle(Message(.interrupt, unique: 7, [Message.pack(UInt64(6))]))
    while replies.count == 1 { await Task.yield() }
    #expect(replies.map(\.unique) == [2, 7])
    session.finish()
    #expect(replies.map(\.unique) == [2, 7, 4])
    #expect(replies.map(\.error) == [-EINTR, -EAGAIN, -EIO])
    #expect(session.detachedCount == 0)
  }

  @Test("a detached reply is sent from a task, or answers EIO when it is dropped")
  func handles() async {
    let fileSystem = DetachingFileSystem()
    let session = Session(fileSystem: fileSystem)
    let channel = FakeChannel()
    let worker = session.makeWorker(channel: channel)
    worker.handle(.initialize())
    for unique: UInt64 in 1...100 {
      let size = UInt32(unique)
      worker.handle(.read(2, unique: unique * 2, size: size))
    }
    while session.detachedCount > 0 { await Task.yield() }
    let replies = channel.sent.dropFirst()
    #expect(Set(replies.map(\.unique)).count == 100)
    #expect(replies.count == 100)
    for reply in replies {
      let isDropped = reply.unique / 2 % 3 == 0
      #expect(reply.error == (isDropped ? -EIO : 0))
      #expect(reply.body.count == (isDropped ? 0 : Int(reply.unique / 2)))
    }
    session.finish()
  }

  @Test("requests are counted, workers come and go")
  func counts() {
    let session = Session(fileSystem: TinyFileSystem([]))
    for _ in 0..<3 {
      let worker = session.makeWorker(channel: channel)
      worker.handle(.initialize())
      worker.handle(Message(.statfs))
      worker.handle(Message(UInt32.max))
      worker.handle(Message(0))
    }
    #expect(session.requestCounts[.statfs] == 3)
    #expect(session.requestCounts.unknown == 6)
    #expect(session.requestCounts.total == 12)
  }

  struct SignalCase: Sendable {
    var pending = "0"
    var shared = "0"
    var blocked = "0"
    var ignored = "0"
    var caught = "0"
    var areDeadly: Bool
  }

  static let signalCases = [
    SignalCase(areDeadly: false),
    // SIGKILL.
    SignalCase(pending: "100", areDeadly: true),
    // SIGALRM by default, and handled.
    SignalCase(shared: "2000", areDeadly: true),
    SignalCase(shared: "2000", caught: "2000", areDeadly: false),
    // SIGINT, handled and blocked.
    SignalCase(shared: "2", caught: "2", areDeadly: true),
    SignalCase(shared: "2", blocked: "2", caught: "2", areDeadly: false),
    // SIGCHLD by default, and an ignored SIGTERM.
    SignalCase(shared: "10000", areDeadly: false),
    SignalCase(shared: "4000", ignored: "4000", areDeadly: false),
  ]

  @Test("a deadly signal is told from one that is survived", arguments: signalCases)
  func signals(_ signals: SignalCase) {
    let status =
      "Name:\tx\nSigPnd:\t\(signals.pending)\nShdPnd:\t\(signals.shared)\n"
      + "SigBlk:\t\(signals.blocked)\nSigIgn:\t\(signals.ignored)\n"
      + "SigCgt:\t\(signals.caught)\n"
    #expect(Signals.areDeadly(Array(status.utf8)) == signals.areDeadly)
  }
}

/// Answers reads from tasks, and drops every third.
private struct DetachingFileSystem: FileSystem {
  func lookup(_: RawSpan, in _: NodeID, caller _: Caller, reply: consuming EntryReply) {}
  func forget(_: NodeID, count _: UInt64) {}
  func getattr(_: NodeID, caller _: Caller, reply: consuming AttributesReply) {}

  func read(
    _: NodeID,
    handle _: OpenHandle,
    offset _: UInt64,
    caller _: Caller,
    reply: consuming DataReply
  ) {
    reply.detach { reply in
      await Task.yield()
      let count = reply.count
      guard count % 3 != 0 else { return }
      reply.answer(count: count) { $0.count }
    }
  }

  func readdir(
    _: NodeID,
    handle _: OpenHandle,
    from _: UInt64,
    caller _: Caller,
    reply: consuming DirectoryReply
  ) {}
}
