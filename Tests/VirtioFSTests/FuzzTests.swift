import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// Random conversations and rings. The seed is printed, and fixed unless `VIRTIOFS_FUZZ_SEED` is set; nothing
/// is expected of the device but that it goes on, ends what it must end, and touches no other memory.
@Suite("Random front ends and guests")
struct FuzzTests {
  /// SplitMix64.
  struct Random: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var value = state
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
      elements[Int.random(in: 0..<elements.count, using: &self)]
    }

    mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &self) == 0 }

    /// Numbers that tend to hurt.
    mutating func number() -> UInt64 {
      switch Int.random(in: 0..<6, using: &self) {
      case 0: pick([0, 1, 2, 63, 64, 65, 255, 256, 4095, 4096, 65535, 65536])
      case 1: pick([UInt64(UInt32.max), 1 << 32, 1 << 62, 1 << 63, .max, .max - 1, .max - 4095])
      case 2: UInt64.random(in: 0..<(2 << 20), using: &self)
      case 3: (1 << 32) + UInt64.random(in: 0..<(4 << 20), using: &self)
      case 4: 1 << UInt64.random(in: 0..<64, using: &self)
      default: next()
      }
    }
  }

  static let seed: UInt64 =
    ProcessInfo.processInfo.environment["VIRTIOFS_FUZZ_SEED"].flatMap { UInt64($0) } ?? 20_240_611

  @Test("random messages")
  func messages() async throws {
    try await onThread {
      print("seed \(Self.seed)")
      var random = Random(state: Self.seed)
      let file = memfd_create("fuzz", 0)
      defer { close(file) }
      ftruncate(file, 1 << 20)
      let event = eventfd(0, CInt(CLinux_EFD_NONBLOCK))
      defer { close(event) }
      let files = [file, event]
      for _ in 0..<150 {
        let machine = try TestMachine(starts: !random.chance(3))
        let isAcknowledged = !random.chance(4)
        for _ in 0..<Int.random(in: 1..<60, using: &random) {
          do {
            try sendRandom(machine, &random, files, needsReply: isAcknowledged)
          } catch {
            break
          }
        }
        #expect(machine.shutDown())
      }
    }
  }

  private func sendRandom(
    _ machine: TestMachine,
    _ random: inout Random,
    _ files: [CInt],
    needsReply: Bool
  ) throws {
    let request = UInt32.random(in: 0..<45, using: &random)
    var payload: [UInt8] = []
    switch random.pick([0, 8, 8, 8, 40, 40, 24, 72, random.chance(2) ? 4096 : 52]) {
    case let size:
      while payload.count < size {
        // Small numbers often, as indices and counts.
        payload += bytes(
          of: random.chance(2) ? UInt64.random(in: 0..<4, using: &random) : random.number()
        )
      }
      payload = Array(payload.prefix(size))
    }
    if VhostUserRequest(rawValue: request) == .setRingAddresses, random.chance(2) {
      payload = machine.requests.addresses
      payload[Int.random(in: 0..<payload.count, using: &random)] ^= UInt8.random(
        in: 0...255,
        using: &random
      )
    }
    var header = MessageHeader(request: request, size: payload.count, needsReply: needsReply)
    if random.chance(100) { header.flags ^= UInt32(truncatingIfNeeded: random.next()) }
    if random.chance(100) { header.size = UInt32(truncatingIfNeeded: random.number()) }
    let count = random.pick([0, 0, 0, 1, 1, 1, 2, 8])
    let descriptors = (0..<count).map { _ in random.pick(files) }
    try machine.frontEnd.send(bytes: bytes(of: header) + payload, descriptors: descriptors)
    // Read what comes, if it comes: neither side may wait for the other for ever.
    var poller = pollfd(fd: machine.frontEnd.socket, events: Int16(POLLIN), revents: 0)
    guard poll(&poller, 1, 1) == 1 else { return }
    var reply = [UInt8](repeating: 0, count: 8192)
    if recv(machine.frontEnd.socket, &reply, reply.count, CInt(MSG_DONTWAIT)) == 0 {
      throw FrontEnd.Failure.disconnected
    }
  }

  @Test("random rings and requests")
  func rings() async throws {
    try await onThread {
      print("seed \(Self.seed)")
      var random = Random(state: Self.seed &+ 1)
      for _ in 0..<60 {
        let machine = try TestMachine(queueSize: random.pick([16, 64, 256]))
        machine.fileSystem.release()
        try machine.initialize()
        // A place that no descriptor may reach: it is in the files, but in no region.
        let guarded = machine.frontEnd.regions[0].host - 8192
        memset(guarded, 0x5A, 8192)
        let queue = machine.requests
        for _ in 0..<Int.random(in: 1..<80, using: &random) {
          layRandom(machine, queue, &random)
          queue.submit(random.chance(40) ? UInt16(truncatingIfNeeded: random.next()) : 0)
          if random.chance(60) {
            queue.setAvailableIndex(UInt16(truncatingIfNeeded: random.next()))
          }
          queue.kickAlways()
          if random.chance(4) { usleep(50) }
          queue.collect()
        }
        // The device can be stopped, whatever state the ring is in.
        _ = try queue.stop()
        #expect((0..<8192).allSatisfy { guarded.load(fromByteOffset: $0, as: UInt8.self) == 0x5A })
        #expect(machine.shutDown())
      }
    }
  }

  private func layRandom(_ machine: TestMachine, _ queue: GuestQueue, _ random: inout Random) {
    let memory = machine.frontEnd
    var request: [UInt8]
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      request = Message.read(
        random.pick([2, 3, 4]),
        offset: random.number(),
        size: 5000,
        unique: 2
      )
    case 1: request = Message.lookup(random.pick(["hello", "list", "x"]), unique: 2)
    case 2: request = Message.readdir(5, from: random.number(), size: 4000, unique: 2)
    case 3: request = Message.initialize(unique: 2)
    default:
      request = Message.request(
        UInt32.random(in: 0..<60, using: &random),
        unique: random.next(),
        node: random.pick([0, 1, 2, 3, 4, 5, 6, random.next()]),
        (0..<Int.random(in: 0..<120, using: &random)).map { _ in
          UInt8(truncatingIfNeeded: random.next())
        }
      )
    }
    if random.chance(3) {
      request[Int.random(in: 0..<request.count, using: &random)] = UInt8(
        truncatingIfNeeded: random.next()
      )
    }
    memory.write(request, at: TestMachine.requestAddress)
    var parts: [GuestQueue.Part] = []
    let split = Int.random(in: 0...request.count, using: &random)
    parts.append(.init(address: TestMachine.requestAddress, count: UInt32(split)))
    parts.append(
      .init(
        address: TestMachine.requestAddress + UInt64(split),
        count: UInt32(request.count - split)
      )
    )
    for _ in 0..<Int.random(in: 0..<6, using: &random) {
      let count = random.pick([0, 1, 15, 16, 100, 4096, 70_000] as [UInt32])
      parts.append(
        .init(
          address: random.pick([0xA0000, TestMachine.seam + 0x80000, TestMachine.high])
            + UInt64.random(in: 0..<8192, using: &random),
          count: count,
          isWritable: true
        )
      )
    }
    if random.chance(8) {
      let index = Int.random(in: 0..<parts.count, using: &random)
      parts[index].address = random.number()
    }
    if random.chance(16) {
      let index = Int.random(in: 0..<parts.count, using: &random)
      parts[index].count = UInt32(truncatingIfNeeded: random.number())
    }
    if random.chance(16) { parts.shuffle(using: &random) }
    if random.chance(2) {
      queue.layIndirect(parts, at: 0, table: 0xC0000)
    } else {
      queue.lay(parts, at: 0)
    }
    if random.chance(8) {
      // A bit of a descriptor, or of the table.
      let place =
        (random.chance(2) ? 0xC0000 : queue.base) + UInt64.random(in: 0..<96, using: &random)
      let byte = memory.read(1, at: place)[0]
      memory.write([byte ^ (1 << UInt8.random(in: 0..<8, using: &random))], at: place)
    }
  }
}
