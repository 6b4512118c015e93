import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Logging
import Platform
import Testing

/// Requests that no kernel would send. `CASTORE_FUZZ_SECONDS` says for how long, `CASTORE_FUZZ_SEED` which.
@Suite("Hostile requests", .serialized)
struct FuzzTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let seconds = Double(environment["CASTORE_FUZZ_SECONDS"] ?? "") ?? 3
  private static let seed = UInt64(environment["CASTORE_FUZZ_SEED"] ?? "")

  @Test("nothing traps, and whatever wants an answer gets exactly one", arguments: [true, false])
  func random(isLocal: Bool) async throws {
    let memory = MemoryBlobService()
    let directories = MemoryDirectoryService()
    let roots = MemoryRootNodes()
    let services = GatedServices(memory, directories)
    try await fill(memory, directories, roots)
    var options = FileSystemOptions()
    options.extendedAttributes = .tvix
    let fileSystem = CastoreFileSystem(
      blobs: isLocal ? memory as any BlobService : services,
      directories: isLocal ? directories as any DirectoryService : services,
      roots: roots,
      options: options,
      logger: Logger(label: "fuzz", factory: { _ in SwiftLogNoOpLogHandler() })
    )
    let session = Session(fileSystem: fileSystem)
    let channel = AnswerLog()
    let worker = session.makeWorker(channel: channel)
    var requests = RandomRequests(
      generator: Self.seed.map { SeededGenerator(seed: $0) } ?? SeededGenerator()
    )
    print("fuzz: seed \(requests.generator.seed), local \(isLocal)")
    let deadline = Date(timeIntervalSinceNow: Self.seconds / 2)
    var expected = 0
    while Date() < deadline {
      for _ in 0..<200 {
        if !session.isInitialized {
          let hello = requests.initialize()
          if handle(hello, worker, .max) == .replied { expected += 1 }
        }
        let capacity = requests.capacity()
        let message = requests.next()
        channel.expect(message)
        // What was an INTERRUPT before it was broken is not counted, either.
        let isEven = message.count > 8 && message[8] & 1 == 0
        if handle(message, worker, capacity) == .replied && isEven { expected += 1 }
        requests.known.formUnion(channel.takeNodes())
      }
      // Interrupted ones are answered by the session; all others by their tasks.
      while session.detachedCount > 2000 { try await Task.sleep(for: .milliseconds(1)) }
    }
    while session.detachedCount > 0 { try await Task.sleep(for: .milliseconds(5)) }
    // What the client was told of is all there is: no other node is left when it has forgotten that.
    requests.known.formUnion(channel.takeNodes())
    for node in requests.known { fileSystem.forget(NodeID(rawValue: node), count: .max) }
    #expect(fileSystem.nodeCount == 0)
    session.finish()
    print(
      "fuzz: \(requests.count) requests, \(expected) to be answered, \(requests.known.count) nodes"
    )
    #expect(channel.answers == expected)
    #expect(channel.repeated == 0)
    #expect(requests.known.count > 10)
  }

  private func handle(_ message: [UInt8], _ worker: Worker, _ capacity: Int) -> HandlingOutcome {
    message.withUnsafeBytes { worker.handle($0, replyCapacity: capacity) }
  }

  private func fill(
    _ memory: MemoryBlobService,
    _ directories: MemoryDirectoryService,
    _ roots: MemoryRootNodes
  ) async throws {
    var entries: [NamedNode] = []
    for number in 0..<40 {
      let writer = try await memory.openWrite()
      try await writer.write(pattern(number * 300, seed: UInt64(number)))
      let node = Node.file(
        digest: try await writer.close(),
        size: UInt64(number * 300),
        isExecutable: number % 3 == 0
      )
      entries.append(NamedNode(name: try PathComponent("f\(number)"), node: node))
    }
    entries.append(
      NamedNode(name: PathComponent("link"), node: .symlink(target: SymlinkTarget("f1")))
    )
    // Objects that are missing, and one that is not as long as it is said to be.
    let nowhere = B3Digest(hashing: [1])
    entries.append(
      NamedNode(name: PathComponent("gone"), node: .directory(digest: nowhere, size: 1))
    )
    entries.append(
      NamedNode(
        name: PathComponent("lost"),
        node: .file(digest: nowhere, size: .max, isExecutable: false)
      )
    )
    guard case .file(let digest, _, _) = entries[5].node else { return }
    entries.append(
      NamedNode(
        name: PathComponent("short"),
        node: .file(digest: digest, size: 1 << 40, isExecutable: false)
      )
    )
    let below = try await directories.put(Directory(entries))
    let top = try await directories.put(
      Directory(
        entries + [NamedNode(name: PathComponent("d"), node: .directory(digest: below, size: 1))]
      )
    )
    try roots.set(PathComponent("tree"), to: .directory(digest: top, size: 1))
    for entry in entries { roots.set(entry.name, to: entry.node) }
  }
}

/// Counts replies, and learns node ids from them.
private final class AnswerLog: ReplyChannel {
  private struct State {
    var answers = 0
    var repeated = 0
    var recent: Set<UInt64> = []
    var opcodes: [UInt64: UInt32] = [:]
    var nodes: Set<UInt64> = []
  }

  private let state = Guarded(State())

  var answers: Int { state.withLock { $0.answers } }
  var repeated: Int { state.withLock { $0.repeated } }

  func takeNodes() -> Set<UInt64> {
    state.withLock { state in
      defer { state.nodes = [] }
      return state.nodes
    }
  }

  /// Notes what a request is, to know its reply.
  func expect(_ message: [UInt8]) {
    guard message.count >= 40 else { return }
    message.withUnsafeBytes { bytes in
      let opcode = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      let unique = bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      state.withLock { $0.opcodes[unique] = opcode }
    }
  }

  func send(_ header: ReplyHeader, body: UnsafeRawBufferPointer, token: UInt) -> SendResult {
    precondition(header.bodyCount == body.count && header.error <= 0 && header.error > -512)
    state.withLock { state in
      // Odd ids are INTERRUPTs', which are told to come again and count as unanswered.
      if header.unique & 1 == 1 { return }
      state.answers += 1
      if !state.recent.insert(header.unique).inserted { state.repeated += 1 }
      switch state.opcodes.removeValue(forKey: header.unique) {
      case 1: state.nodes.formUnion(WireClient.entryNode(body))
      case 44: state.nodes.formUnion(WireClient.listedNodes(body))
      default: break
      }
    }
    return .sent
  }
}

/// Requests of all sorts: some as they should be, some broken in every way.
private struct RandomRequests {
  var generator: SeededGenerator
  var known: Set<UInt64> = [1]
  private(set) var count: UInt64 = 0

  private static let names = [
    "tree", "f1", "f2", "d", "link", "gone", "lost", "short", "nope", ".", "..",
  ]

  init(generator: SeededGenerator) { self.generator = generator }

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &generator)]
  }

  mutating func capacity() -> Int { pick([.max, .max, .max, 0, 15, 16, 100, 4096, 1 << 20]) }

  mutating func number() -> UInt64 {
    pick([0, 1, 2, 100, 4096, 1 << 31, 1 << 32, 1 << 63, .max, UInt64(Int64.max), generator.next()])
  }

  mutating func node() -> UInt64 {
    Int.random(in: 0..<10, using: &generator) == 0
      ? number() : known.randomElement(using: &generator) ?? 1
  }

  mutating func initialize() -> [UInt8] {
    var body: [UInt8] = []
    for value: UInt32 in [7, 45, 131072, 0x73ff_fffb, 0x5fd] { append(value, to: &body) }
    return message(26, 1, body + [UInt8](repeating: 0, count: 44))
  }

  mutating func next() -> [UInt8] {
    let common: [UInt32] = [
      1, 1, 1, 3, 5, 14, 15, 15, 15, 22, 23, 27, 28, 44, 44, 2, 42, 36, 17, 18,
    ]
    let opcode =
      Bool.random(using: &generator) ? pick(common) : UInt32.random(in: 0...60, using: &generator)
    var body: [UInt8] = []
    switch opcode {
    case 1: body = name()
    case 2: append(pick([1, 1, number()]), to: &body)
    case 42:
      let count = UInt32.random(in: 0...8, using: &generator)
      append(pick([count, .max]), to: &body)
      append(UInt32(0), to: &body)
      for _ in 0..<count {
        append(node(), to: &body)
        append(pick([1, number()]), to: &body)
      }
    case 15, 28, 44:
      append(UInt64(0), to: &body)
      append(pick([0, 0, number()]), to: &body)
      append(pick([4096, 100, 131072, UInt32(truncatingIfNeeded: number())]), to: &body)
      body += [UInt8](repeating: 0, count: 20)
    case 14, 27:
      append(pick([0, 0, UInt32(truncatingIfNeeded: number())]), to: &body)
      append(UInt32(0), to: &body)
    case 22, 23:
      append(pick([0, 100, UInt32(truncatingIfNeeded: number())]), to: &body)
      append(UInt32(0), to: &body)
      if opcode == 22 { body += Array("user.tvix.castore.blob.digest".utf8) + [0] }
    case 36: append((count &+ 1 &- UInt64.random(in: 0...20, using: &generator)) &* 2, to: &body)
    default: body = generator.bytes(Int.random(in: 0...200, using: &generator))
    }
    var bytes = message(opcode, node(), body)
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
    case 1: bytes += generator.bytes(Int.random(in: 1...5000, using: &generator))
    case 2:
      for _ in 0..<4 {
        // Not the id: by it replies are counted.
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        if !(8..<16).contains(index) { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
      }
    default: break
    }
    return bytes
  }

  private mutating func name() -> [UInt8] {
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: generator.bytes(Int.random(in: 0...400, using: &generator))
    case 1: [UInt8](repeating: 65, count: pick([254, 255, 256, 257])) + [0]
    default: Array(pick(Self.names).utf8) + [0]
    }
  }

  private mutating func message(_ opcode: UInt32, _ node: UInt64, _ body: [UInt8]) -> [UInt8] {
    count += 1
    var bytes: [UInt8] = []
    append(UInt32(40 + body.count), to: &bytes)
    append(opcode, to: &bytes)
    // As the kernel does: INTERRUPTs carry odd ids.
    append(count * 2 | (opcode == 36 ? 1 : 0), to: &bytes)
    append(node, to: &bytes)
    bytes += [UInt8](repeating: 0, count: 16)
    return bytes + body
  }

  private func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }
}
