import CLinux
import Foundation
import Glibc
import Testing

@testable import VirtioFS

/// The guest's side of one virtqueue.
final class GuestQueue {
  let frontEnd: FrontEnd
  let index: UInt32
  let size: UInt16
  /// Where descriptors, available and used ring lie.
  let base: UInt64
  let kick: CInt
  let call: CInt
  let error: CInt
  let usesEventIndex: Bool
  var availableIndex: UInt16 = 0
  var seenUsed: UInt16 = 0
  /// Used elements by head.
  var completed: [UInt16: UInt32] = [:]

  var availableAddress: UInt64 { base + 16 * UInt64(size) }
  var usedAddress: UInt64 { (availableAddress + 6 + 2 * UInt64(size) + 7) & ~7 }

  init(
    _ frontEnd: FrontEnd,
    index: UInt32,
    size: UInt16 = 64,
    base: UInt64,
    usesEventIndex: Bool = true,
    eventsBlock: Bool = false
  ) {
    self.frontEnd = frontEnd
    self.index = index
    self.size = size
    self.base = base
    self.usesEventIndex = usesEventIndex
    let flags = CInt(CLinux_EFD_CLOEXEC) | (eventsBlock ? 0 : CInt(CLinux_EFD_NONBLOCK))
    kick = eventfd(0, flags)
    call = eventfd(0, flags)
    error = eventfd(0, flags)
  }

  deinit {
    close(kick)
    close(call)
    close(error)
  }

  /// Tells the device all it needs to run the ring, in the usual order.
  func start(base next: UInt16 = 0, enables: Bool = true) throws {
    try frontEnd.demand(.setRingSize, state(UInt32(size)))
    try frontEnd.demand(.setRingBase, state(UInt32(next)))
    try frontEnd.demand(.setRingAddresses, addresses)
    try frontEnd.demand(.setRingError, bytes(of: UInt64(index)), descriptors: [error])
    try frontEnd.demand(.setRingKick, bytes(of: UInt64(index)), descriptors: [kick])
    try frontEnd.demand(.setRingCall, bytes(of: UInt64(index)), descriptors: [call])
    if enables { try frontEnd.demand(.setRingEnabled, state(1)) }
  }

  /// Forgets all, as a driver does that begins anew.
  func restart() {
    frontEnd.write(
      [UInt8](repeating: 0, count: Int(usedAddress - base) + 6 + 8 * Int(size)),
      at: base
    )
    availableIndex = 0
    seenUsed = 0
    completed = [:]
  }

  /// Stops the ring and returns the next request that the device would have taken.
  func stop() throws -> UInt16 {
    let reply = try frontEnd.ask(.getRingBase, state(0))
    return UInt16(reply.withUnsafeBytes { $0.loadUnaligned(as: RingStateLayout.self).number })
  }

  func state(_ number: UInt32) -> [UInt8] {
    bytes(of: RingStateLayout(index: index, number: number))
  }

  var addresses: [UInt8] {
    bytes(
      of: RingAddresses(
        index: index,
        flags: 0,
        descriptors: frontEnd.user(base),
        used: frontEnd.user(usedAddress),
        available: frontEnd.user(availableAddress),
        log: 0
      )
    )
  }

  // MARK: Descriptors

  struct Part {
    var address: UInt64
    var count: UInt32
    var isWritable = false
  }

  static func descriptor(_ part: Part, flags: UInt16 = 0, next: UInt16 = 0) -> [UInt8] {
    bytes(of: part.address) + bytes(of: part.count)
      + bytes(of: flags | (part.isWritable ? 2 : 0)) + bytes(of: next)
  }

  func setDescriptor(_ slot: UInt16, _ raw: [UInt8]) {
    frontEnd.write(raw, at: base + 16 * UInt64(slot))
  }

  /// Lays a chain into consecutive descriptors from `head` on.
  func lay(_ parts: [Part], at head: UInt16) {
    for (offset, part) in parts.enumerated() {
      let slot = head + UInt16(offset)
      let isLast = offset == parts.count - 1
      setDescriptor(
        slot,
        Self.descriptor(part, flags: isLast ? 0 : 1, next: isLast ? 0 : slot + 1)
      )
    }
  }

  /// Lays a chain into a table at `address`, and one descriptor that refers to it.
  func layIndirect(_ parts: [Part], at head: UInt16, table address: UInt64) {
    var table: [UInt8] = []
    for (offset, part) in parts.enumerated() {
      let isLast = offset == parts.count - 1
      table += Self.descriptor(part, flags: isLast ? 0 : 1, next: isLast ? 0 : UInt16(offset + 1))
    }
    frontEnd.write(table, at: address)
    let reference = Part(address: address, count: UInt32(table.count))
    setDescriptor(head, Self.descriptor(reference, flags: 4))
  }

  // MARK: Requests

  /// Makes a chain available; kicks if the device asks for it.
  func submit(_ head: UInt16, kicks: Bool = true) {
    let slot = UInt64(availableIndex & (size - 1))
    frontEnd.write(bytes(of: head), at: availableAddress + 4 + 2 * slot)
    let old = availableIndex
    availableIndex &+= 1
    setAvailableIndex(availableIndex)
    if kicks { kickIfWanted(from: old) }
  }

  func setAvailableIndex(_ index: UInt16) {
    CLinux_store16_release(frontEnd.host(availableAddress + 2), index)
    CLinux_full_fence()
  }

  private func kickIfWanted(from old: UInt16) {
    if usesEventIndex {
      let event = CLinux_load16(frontEnd.host(usedAddress + 4 + 8 * UInt64(size)))
      guard availableIndex &- event &- 1 < availableIndex &- old else { return }
    } else if CLinux_load16(frontEnd.host(usedAddress)) & 1 != 0 {
      return
    }
    kickAlways()
  }

  func kickAlways() {
    var one: UInt64 = 1
    _ = Glibc.write(kick, &one, 8)
  }

  /// Collects used elements, without waiting.
  func collect() {
    while seenUsed != CLinux_load16_acquire(frontEnd.host(usedAddress + 2)) {
      let element = usedAddress + 4 + 8 * UInt64(seenUsed & (size - 1))
      let raw = frontEnd.read(8, at: element)
      raw.withUnsafeBytes { raw in
        let head = UInt16(truncatingIfNeeded: raw.loadUnaligned(as: UInt32.self))
        completed[head] = raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
      }
      seenUsed &+= 1
    }
    // Ask for an interrupt with the next one.
    CLinux_store16(frontEnd.host(availableAddress + 4 + 2 * UInt64(size)), seenUsed)
    CLinux_full_fence()
  }

  /// Waits for a request as a driver does: by interrupts alone.
  ///
  /// - Returns: How many bytes were written.
  func wait(for head: UInt16) throws -> UInt32 {
    while true {
      collect()
      // Once more after asking for an interrupt.
      collect()
      if let written = completed.removeValue(forKey: head) { return written }
      var file = pollfd(fd: call, events: Int16(POLLIN), revents: 0)
      guard poll(&file, 1, FrontEnd.timeout) == 1 else { throw FrontEnd.Failure.timeout }
      var count: UInt64 = 0
      _ = Glibc.read(call, &count, 8)
    }
  }

  /// Waits for the device to say that the ring is broken.
  func waitForFault() -> Bool {
    var file = pollfd(fd: error, events: Int16(POLLIN), revents: 0)
    return poll(&file, 1, FrontEnd.timeout) == 1
  }
}

/// A reply as the guest finds it.
struct GuestReply {
  let error: Int32
  let unique: UInt64
  let body: [UInt8]

  init(_ bytes: [UInt8]) throws {
    guard bytes.count >= 16 else { throw FrontEnd.Failure.wrongReply("\(bytes.count) bytes") }
    let (length, error, unique) = bytes.withUnsafeBytes { bytes in
      (
        bytes.loadUnaligned(as: UInt32.self),
        bytes.loadUnaligned(fromByteOffset: 4, as: Int32.self),
        bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      )
    }
    guard length == bytes.count else { throw FrontEnd.Failure.wrongReply("length \(length)") }
    self.error = error
    self.unique = unique
    body = Array(bytes[16...])
  }
}

/// Raw FUSE messages.
enum Message {
  static func request(
    _ opcode: UInt32,
    unique: UInt64,
    node: UInt64,
    _ body: [UInt8] = [],
    length: UInt32? = nil
  ) -> [UInt8] {
    bytes(of: length ?? UInt32(40 + body.count)) + bytes(of: opcode) + bytes(of: unique)
      + bytes(of: node) + [UInt8](repeating: 0, count: 16) + body
  }

  static func initialize(unique: UInt64) -> [UInt8] {
    var body = bytes(of: UInt32(7)) + bytes(of: UInt32(38)) + bytes(of: UInt32(131072))
    body += bytes(of: UInt32(0xb7bf_fffb)) + bytes(of: UInt32(0xb))
    body += [UInt8](repeating: 0, count: 44)
    return request(26, unique: unique, node: 0, body)
  }

  static func lookup(_ name: String, in node: UInt64 = 1, unique: UInt64) -> [UInt8] {
    request(1, unique: unique, node: node, Array(name.utf8) + [0])
  }

  static func getattr(_ node: UInt64, unique: UInt64) -> [UInt8] {
    request(3, unique: unique, node: node, [UInt8](repeating: 0, count: 16))
  }

  static func read(
    _ node: UInt64,
    offset: UInt64,
    size: UInt32,
    unique: UInt64,
    opcode: UInt32 = 15
  ) -> [UInt8] {
    let body =
      bytes(of: UInt64(0)) + bytes(of: offset) + bytes(of: size)
      + [UInt8](repeating: 0, count: 20)
    return request(opcode, unique: unique, node: node, body)
  }

  static func readdir(
    _ node: UInt64,
    from cookie: UInt64,
    size: UInt32,
    unique: UInt64
  ) -> [UInt8] {
    read(node, offset: cookie, size: size, unique: unique, opcode: 28)
  }

  static func forget(_ node: UInt64, count: UInt64, unique: UInt64) -> [UInt8] {
    request(2, unique: unique, node: node, bytes(of: count))
  }

  static func destroy(unique: UInt64) -> [UInt8] { request(38, unique: unique, node: 0) }
}
