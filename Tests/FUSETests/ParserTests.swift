import Glibc
import Platform
import Testing

@testable import FUSE

@Suite("Requests from outside")
struct ParserTests {
  let channel = FakeChannel()
  let session: Session
  let worker: Worker

  init() {
    let fileSystem = TinyFileSystem([("f", .bytes([1, 2, 3])), ("d/e", .bytes([]))])
    session = Session(fileSystem: fileSystem)
    worker = session.makeWorker(channel: channel)
    worker.handle(.initialize())
  }

  /// Handles one and gives the error of its reply; nil if there is none.
  func error(_ bytes: [UInt8], capacity: Int = .max) -> Int32? {
    channel.replies.withLock { $0 = [] }
    let outcome = bytes.withUnsafeBytes { worker.handle($0, replyCapacity: capacity) }
    // These answer an earlier INTERRUPT, some time later.
    let sent = channel.sent.filter { $0.error != -EAGAIN && $0.error != -EINTR }
    // And that one comes later, if at all.
    let isInterrupt = bytes.dropFirst(4).prefix(4).elementsEqual([36, 0, 0, 0])
    #expect(sent.count == (outcome == .replied && !isInterrupt ? 1 : 0))
    return sent.first?.error
  }

  static let nameCases: [([UInt8], Int32)] = [
    ([], EINVAL),
    ([0], EINVAL),
    ([102], EINVAL),
    ([102, 0], 0),
    ([102, 0, 0], EINVAL),
    ([102, 0, 102, 0], EINVAL),
    ([102, 47, 0], EINVAL),
    ([47, 0], EINVAL),
    ([UInt8](repeating: 97, count: 255) + [0], 0),
    ([UInt8](repeating: 97, count: 256) + [0], ENAMETOOLONG),
    ([UInt8](repeating: 97, count: 5000), ENAMETOOLONG),
    ([255, 254, 10, 0], 0),
  ]

  @Test("names are checked", arguments: nameCases)
  func names(_ name: [UInt8], _ code: Int32) {
    #expect(error(Message(.lookup, [name]).bytes) == -code)
  }

  @Test("names of extended attributes may hold a slash")
  func attributeNames() {
    let size = Message.pack(UInt32(0), UInt32(0))
    #expect(error(Message(.getxattr, [size, Message.name("user.a/b")]).bytes) == -ENOSYS)
    #expect(error(Message(.getxattr, [size]).bytes) == -EINVAL)
    #expect(error(Message(.getxattr, []).bytes) == -EINVAL)
  }

  @Test("lengths that contradict the message are refused")
  func lengths() {
    var message = Message(.statfs).bytes
    #expect(error(Array(message[..<39])) == nil)
    #expect(error([]) == nil)
    message[0] = 41
    #expect(error(message) == -EINVAL)
    message[0] = 39
    #expect(error(message) == -EINVAL)
    message[0] = 40
    #expect(error(message + [1, 2, 3]) == 0)
    // Extensions that claim more than there is.
    message[36] = 1
    #expect(error(message) == -EINVAL)
    #expect(error([48] + message[1...] + [UInt8](repeating: 0, count: 8)) == 0)
  }

  static let mutationCases: [UInt32] = [
    4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51, 53,
  ]

  @Test("requests that would change something are refused", arguments: mutationCases)
  func mutations(_ opcode: UInt32) {
    #expect(error(Message(opcode).bytes) == -EROFS)
  }

  static let unservedCases: [(UInt32, Int32)] = [
    (20, ENOSYS), (30, ENOSYS), (31, ENOSYS), (37, ENOSYS), (39, ENOTTY), (40, ENOSYS),
    (48, ENOSYS), (49, ENOSYS), (50, ENOSYS), (52, ENOSYS), (0, ENOSYS), (7, ENOSYS),
    (54, ENOSYS), (4096, ENOSYS), (.max, ENOSYS),
  ]

  @Test("what is not served says so", arguments: unservedCases)
  func unserved(_ opcode: UInt32, _ code: Int32) {
    #expect(error(Message(opcode).bytes) == -code)
  }

  @Test("opening for writing is refused", arguments: [1, 2, 3, 0o1000, 0o1001] as [UInt32])
  func writing(_ flags: UInt32) {
    #expect(error(Message(.open, node: 2, [Message.pack(flags, UInt32(0))]).bytes) == -EROFS)
  }

  @Test("forgetting is never answered, and counts only what is there")
  func forget() throws {
    let fileSystem = try #require(session.fileSystem as? TinyFileSystem)
    #expect(error(Message(.forget, node: 5, [Message.pack(UInt64(3))]).bytes) == nil)
    #expect(error(Message(.forget, node: 5).bytes) == nil)
    let items = Message.pack(UInt64(5), UInt64(1), UInt64(6), UInt64.max)
    let claim = Message.pack(UInt32.max, UInt32(0))
    #expect(error(Message(.batchForget, node: 0, [claim, items]).bytes) == nil)
    #expect(fileSystem.forgotten.withLock { $0 } == [5: 4, 6: .max])
    var broken = Message(.forget, node: 5, [Message.pack(UInt64(1))]).bytes
    broken[0] = 200
    #expect(error(broken) == nil)
  }

  /// One valid request of each sort.
  static let valid: [Message] = Opcode.allCases.map { opcode in
    switch opcode {
    case .lookup: Message(opcode, [Message.name("f")])
    case .getxattr: Message(opcode, [Message.pack(UInt32(9), UInt32(0)), Message.name("user.x")])
    case .initialize: .initialize()
    case .read: .read(2, size: 100)
    case .readdir, .readdirplus: .readdir(opcode, size: 4096)
    case .batchForget:
      Message(opcode, [Message.pack(UInt32(1), UInt32(0), UInt64(2), UInt64(1))])
    default: Message(opcode, [[UInt8](repeating: 0, count: 40)])
    }
  }

  @Test("truncations and random changes of every request never trap and are answered once")
  func fuzz() {
    var generator = SeededGenerator(state: 0x5eed)
    for message in Self.valid {
      for count in 0...message.bytes.count {
        var truncated = Array(message.bytes[..<count])
        _ = error(truncated)
        if count >= 4 { truncated[0] = UInt8(count) }
        _ = error(truncated)
        revive()
      }
    }
    for round in 0..<20_000 {
      guard var bytes = Self.valid.randomElement(using: &generator)?.bytes else { return }
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[index] =
          [0, 1, 0x7f, 0x80, 0xff, .random(in: 0...255, using: &generator)][
            Int.random(in: 0..<6, using: &generator)
          ]
      }
      // Keep it away from the header check every other time.
      if round % 2 == 0 {
        withUnsafeBytes(of: UInt32(bytes.count)) { bytes.replaceSubrange(0..<4, with: $0) }
      }
      let capacity = [Int.max, 0, 15, 16, 100, 4096].randomElement(using: &generator) ?? 0
      _ = error(bytes, capacity: capacity)
      revive()
    }
    session.finish()
  }

  /// DESTROY, or an INIT of another version, end the session.
  private func revive() {
    if !session.isInitialized { worker.handle(.initialize()) }
  }
}

struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

@Suite("Mount options and tables")
struct MountTextTests {
  @Test("options cannot be smuggled in through names")
  func injection() {
    var options = MountOptions()
    options.source = "a,suid\\x\n\u{7f}é b"
    options.subtype = "t,allow_other é/.x-_9"
    #expect(options.cleanSource == "a_suid_x__é b")
    #expect(options.cleanSubtype == "t_allow_other____x-_9")
    options.source = ""
    options.subtype = ""
    #expect(options.cleanSource == "fuse")
    #expect(options.cleanSubtype == nil)
  }

  @Test("the table of mounts is read with its escapes, broken lines are passed over")
  func table() {
    let text = """
      21 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/root rw
      30 21 0:40 / /mnt/a\\040b\\134c ro - fuse.x name ro,user_id=0
      31 30 0:41 / /mnt/a\\040b\\134c ro - tmpfs tmpfs rw
      broken
      32 21 0:42 / /x ro shared:1 -
      33 21 0:43 / /y\\9 ro - proc proc rw
      """
    let table = MountTable(parsing: Array(text.utf8))
    #expect(table.entries.map(\.id) == [21, 30, 31, 33])
    #expect(table.top(at: Array("/mnt/a b\\c".utf8))?.type == "tmpfs")
    #expect(table.top(at: Array("/".utf8))?.device == "8:1")
    #expect(table.top(at: Array("/y\\9".utf8))?.id == 33)
    #expect(table.top(at: Array("/mnt".utf8)) == nil)
  }
}
