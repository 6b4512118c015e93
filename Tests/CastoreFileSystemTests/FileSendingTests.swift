import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Logging
import Platform
import Testing

/// Keeps what a transport is asked to send, and how.
private final class SendLog: ReplyChannel {
  enum Sent: Equatable {
    case bytes(Int32, [UInt8])
    case file(offset: Int64, count: Int)
  }

  private let log = Guarded<[Sent]>([])

  var sent: [Sent] { log.withLock { $0 } }

  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    log.withLock { $0.append(.bytes(header.error, [UInt8](body))) }
    return .sent
  }

  func send(
    _ header: ReplyHeader,
    file: CInt,
    offset: Int64,
    scratch: UnsafeMutableRawBufferPointer,
    token: UInt
  ) -> SendResult {
    log.withLock { $0.append(.file(offset: offset, count: header.bodyCount)) }
    return .sent
  }
}

@Suite("How the bytes of files go out")
struct FileSendingTests {
  @Test("a blob with a file goes from its descriptor to the transport: we copy nothing")
  func descriptor() async throws {
    let folder = try TestFolder()
    let store = try LocalStore(path: folder.sub("store"), create: true)
    let large = pattern(3_000_000)
    var nodes: [String: Node] = [:]
    for (name, bytes) in [("large", large), ("small", [1, 2, 3])] {
      let writer = try await store.openWrite()
      try await writer.write(bytes)
      let digest = try await writer.close()
      let node = Node.file(digest: digest, size: UInt64(bytes.count), isExecutable: false)
      try store.setRoot(PathComponent(name), to: node)
      nodes[name] = node
    }
    guard case .file(let digest, _, _) = nodes["large"] else { return }
    let longer = Node.file(digest: digest, size: 4_000_000, isExecutable: true)
    let lying = try await store.put(Directory([NamedNode(name: "longer", node: longer)]))
    try store.setRoot(PathComponent("d"), to: .directory(digest: lying, size: 1))
    let fileSystem = CastoreFileSystem(
      blobs: store,
      directories: store,
      roots: store,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    )
    let session = Session(fileSystem: fileSystem)
    let channel = SendLog()
    let worker = session.makeWorker(channel: channel)
    let hello: [UInt32] = [7, 45, 131_072, 0x73ff_fffb, 0x5fd]
    _ = send(26, 1, hello.flatMap { little($0) } + zeros(44), to: worker)
    func node(_ name: String, in parent: UInt64 = 1) -> UInt64 {
      _ = send(1, parent, Array(name.utf8) + [0], to: worker)
      guard case .bytes(0, let body) = channel.sent.last else { return 0 }
      return body.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
    func read(_ node: UInt64, at offset: UInt64, _ count: UInt32) -> SendLog.Sent? {
      let body = little(UInt64(0)) + little(offset) + little(count) + zeros(20)
      _ = send(15, node, body, to: worker)
      return channel.sent.last
    }
    let (file, small) = (node("large"), node("small"))
    // What was not compared with its digest yet is copied, so that it can be.
    guard case .bytes(0, _) = read(file, at: 1 << 20, 4096) else {
      Issue.record("unchecked bytes went out")
      return
    }
    #expect(try store.verifyLocal(digest))
    #expect(read(file, at: 0, 1 << 20) == .file(offset: 0, count: 1 << 20))
    #expect(read(file, at: 2_999_000, 4096) == .file(offset: 2_999_000, count: 1000))
    #expect(read(file, at: 3_000_000, 4096) == .bytes(0, []))
    #expect(read(small, at: 1, 4096) == .bytes(0, [2, 3]))
    // What is not there is an error before anything goes out.
    let wrong = node("longer", in: node("d"))
    #expect(read(wrong, at: 2_999_000, 4096) == .bytes(-EIO, []))
    #expect(read(wrong, at: 3_500_000, 4096) == .bytes(-EIO, []))
    #expect(read(wrong, at: 0, 4096) == .file(offset: 0, count: 4096))
    session.finish()
  }

  private func send(
    _ opcode: UInt32,
    _ node: UInt64,
    _ body: [UInt8],
    to worker: Worker
  ) -> HandlingOutcome {
    let head = little(UInt32(40 + body.count)) + little(opcode) + little(UInt64(2)) + little(node)
    return (head + zeros(16) + body).withUnsafeBytes { worker.handle($0) }
  }

  private func little(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
  }

  private func little(_ value: UInt64) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
  }

  private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
}
