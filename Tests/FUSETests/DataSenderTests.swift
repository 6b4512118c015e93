import Glibc
import Platform
import Testing

@testable import FUSE

@Suite("Answers of data, by whichever way")
struct DataSenderTests {
  /// Answers reads as it is told to.
  private struct SendingFileSystem: FileSystem {
    let send: @Sendable (inout DataSender) throws(Errno) -> Void

    func lookup(
      _ name: RawSpan,
      in parent: NodeID,
      caller: Caller,
      reply: consuming EntryReply
    ) {
      reply.fail(Errno(ENOENT))
    }

    func forget(_ node: NodeID, count: UInt64) {}

    func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply) {
      reply.fail(Errno(ENOENT))
    }

    func read(
      _ node: NodeID,
      handle: OpenHandle,
      offset: UInt64,
      caller: Caller,
      reply: consuming DataReply
    ) {
      reply.answer(count: 8, send)
    }

    func readdir(
      _ node: NodeID,
      handle: OpenHandle,
      from cookie: UInt64,
      caller: Caller,
      reply: consuming DirectoryReply
    ) {
      reply.fail(Errno(ENOTDIR))
    }
  }

  private func replies(
    _ size: UInt32 = 100,
    _ send: @escaping @Sendable (inout DataSender) throws(Errno) -> Void
  ) -> [FakeChannel.Sent] {
    let channel = FakeChannel()
    let session = Session(fileSystem: SendingFileSystem(send: send))
    let worker = session.makeWorker(channel: channel)
    worker.handle(.initialize())
    worker.handle(.read(2, size: size))
    return Array(channel.sent.dropFirst())
  }

  @Test("the first way counts, and only whole answers go out")
  func ways() throws {
    let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8]
    let sent = replies { sender in
      bytes.withUnsafeBytes { sender.send($0) }
      sender.fail(Errno(EINVAL))
      sender.fill { _ in 8 }
    }
    #expect(sent.map(\.body) == [bytes] && sent.map(\.error) == [0])
    let filled = replies { sender in
      sender.fill { buffer in
        buffer.copyBytes(from: bytes)
        return 8
      }
    }
    #expect(filled.map(\.body) == [bytes])
    let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    defer { close(file) }
    #expect(file >= 0)
    let fromFile = replies { sender in sender.send(file: file, offset: 1) }
    #expect(fromFile.map { $0.body.prefix(3) } == [[0x45, 0x4c, 0x46]])
    #expect(fromFile.map(\.body.count) == [8])
    // No more than was asked for.
    let short = replies(3) { sender in
      #expect(sender.count == 3)
      sender.send(file: file, offset: 1)
    }
    #expect(short.map(\.body) == [[0x45, 0x4c, 0x46]])
  }

  @Test("anything else is an error, once")
  func failures() {
    let ways: [(CInt, @Sendable (inout DataSender) throws(Errno) -> Void)] = [
      (EIO, { _ in }), (EACCES, { _ throws(Errno) in throw Errno(EACCES) }),
      (ESTALE, { sender in sender.fail(Errno(ESTALE)) }),
      (EIO, { sender in [1, 2].withUnsafeBytes { sender.send($0) } }),
      (EIO, { sender in sender.fill { _ in 7 } }),
      (EIO, { sender in sender.send(file: -1, offset: 0) }),
      (EIO, { sender in sender.send(file: 0, offset: .max) }),
    ]
    for (code, way) in ways {
      let sent = replies(100, way)
      #expect(sent.map(\.error) == [-code] && sent.map(\.body) == [[]])
    }
    // Sent, and then something went wrong: the client has its answer.
    let late = replies { (sender) throws(Errno) in
      sender.fill { $0.count }
      throw Errno(EIO)
    }
    #expect(late.map(\.error) == [0])
  }
}
