import CLinux
import Foundation
import Glibc
import Platform
import Testing

@testable import VirtioFS

/// A monitor without a machine: speaks vhost-user to a device and has memory to share.
///
/// Every wait has a limit, so that a device that hangs fails the test.
final class FrontEnd {
  /// A memory region with this side's mapping of it.
  final class Region {
    let message: RegionDescription
    let file: CInt
    let host: UnsafeMutableRawPointer
    let mappedSize: Int

    init(
      guest: UInt64,
      size: Int,
      user: UInt64,
      fileOffset: Int = 0,
      name: String = "guest"
    ) {
      message = RegionDescription(
        guestAddress: guest,
        size: UInt64(size),
        userAddress: user,
        fileOffset: UInt64(fileOffset)
      )
      file = memfd_create(name, UInt32(CLinux_MFD_CLOEXEC))
      mappedSize = size + fileOffset
      precondition(file >= 0 && ftruncate(file, mappedSize) == 0)
      let mapping = mmap(nil, mappedSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
      guard let mapping, mapping != MAP_FAILED else { preconditionFailure("mmap of a memfd") }
      host = mapping + fileOffset
    }

    deinit {
      munmap(host - Int(message.fileOffset), mappedSize)
      close(file)
    }

    func contains(_ address: UInt64) -> Bool {
      address >= message.guestAddress && address - message.guestAddress < message.size
    }
  }

  enum Failure: Error, Equatable {
    case disconnected
    case timeout
    case wrongReply(String)
  }

  let socket: CInt
  private var isOpen = true
  var regions: [Region] = []
  static let timeout: CInt = 10_000

  init(socket: CInt) {
    self.socket = socket
  }

  deinit {
    hangUp()
  }

  func hangUp() {
    if isOpen { close(socket) }
    isOpen = false
  }

  // MARK: Messages

  func send(bytes: [UInt8], descriptors: [CInt] = []) throws {
    let count = CLinux_send_descriptors(
      socket,
      bytes,
      bytes.count,
      0,
      descriptors,
      descriptors.count
    )
    guard count == bytes.count else { throw Failure.disconnected }
  }

  func send(
    _ request: VhostUserRequest,
    _ payload: [UInt8] = [],
    needsReply: Bool = false,
    descriptors: [CInt] = []
  ) throws {
    let header = MessageHeader(
      request: request.rawValue,
      size: payload.count,
      needsReply: needsReply
    )
    try send(bytes: bytes(of: header) + payload, descriptors: descriptors)
  }

  func receive(_ count: Int) throws -> (bytes: [UInt8], descriptors: [CInt]) {
    var result: [UInt8] = []
    var descriptors: [CInt] = []
    while result.count < count {
      var file = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&file, 1, Self.timeout) == 1 else { throw Failure.timeout }
      var part = [UInt8](repeating: 0, count: count - result.count)
      var numbers = [CInt](repeating: -1, count: 8)
      var received = 0
      var truncated: CInt = 0
      let length = CLinux_receive_descriptors(
        socket,
        &part,
        part.count,
        0,
        &numbers,
        8,
        &received,
        &truncated
      )
      guard length > 0 else { throw Failure.disconnected }
      result += part.prefix(length)
      descriptors += numbers.prefix(received)
    }
    return (result, descriptors)
  }

  /// The reply to a request: its payload.
  func reply(to request: VhostUserRequest) throws -> (bytes: [UInt8], descriptors: [CInt]) {
    let (head, descriptors) = try receive(12)
    let header = head.withUnsafeBytes { $0.loadUnaligned(as: MessageHeader.self) }
    guard header.request == request.rawValue, header.flags == 0x5 else {
      throw Failure.wrongReply("\(header)")
    }
    return (try receive(Int(header.size)).bytes, descriptors)
  }

  func ask(_ request: VhostUserRequest, _ payload: [UInt8] = []) throws -> [UInt8] {
    try send(request, payload)
    return try reply(to: request).bytes
  }

  func askNumber(_ request: VhostUserRequest, _ payload: [UInt8] = []) throws -> UInt64 {
    let bytes = try ask(request, payload)
    guard bytes.count == 8 else { throw Failure.wrongReply("\(bytes.count) bytes") }
    return bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
  }

  /// Sends with the wish for an acknowledgement. True if it is a success.
  func acknowledged(
    _ request: VhostUserRequest,
    _ payload: [UInt8] = [],
    descriptors: [CInt] = []
  ) throws -> Bool {
    try send(request, payload, needsReply: true, descriptors: descriptors)
    let bytes = try reply(to: request).bytes
    return bytes.allSatisfy { $0 == 0 }
  }

  /// Sends, and fails if that is refused.
  func demand(
    _ request: VhostUserRequest,
    _ payload: [UInt8] = [],
    descriptors: [CInt] = []
  ) throws {
    guard try acknowledged(request, payload, descriptors: descriptors) else {
      throw Failure.wrongReply("\(request) refused")
    }
  }

  /// True if the device hangs up.
  func isHungUp() -> Bool {
    do {
      _ = try receive(1)
      return false
    } catch {
      return error as? Failure == .disconnected
    }
  }

  // MARK: Setting up

  /// Agrees on features. With `withoutEventIndex` interrupts are governed by flags.
  func negotiate(
    features: VirtioFeatures = .offered,
    protocolFeatures: ProtocolFeatures = .offered
  ) throws {
    let offered = VirtioFeatures(rawValue: try askNumber(.getFeatures))
    #expect(offered.isSuperset(of: features))
    let offeredProtocol = ProtocolFeatures(rawValue: try askNumber(.getProtocolFeatures))
    #expect(offeredProtocol.isSuperset(of: protocolFeatures))
    try send(.setProtocolFeatures, bytes(of: protocolFeatures.rawValue))
    try send(.setOwner)
    try send(.setFeatures, bytes(of: features.rawValue))
  }

  func setMemoryTable() throws {
    var payload = bytes(of: UInt64(regions.count))
    for region in regions { payload += bytes(of: region.message) }
    try demand(.setMemoryTable, payload, descriptors: regions.map(\.file))
  }

  func addRegion(_ region: Region) throws {
    regions.append(region)
    let payload = bytes(of: UInt64(0)) + bytes(of: region.message)
    try demand(.addMemoryRegion, payload, descriptors: [region.file])
  }

  func removeRegion(_ region: Region) throws {
    let payload = bytes(of: UInt64(0)) + bytes(of: region.message)
    try demand(.removeMemoryRegion, payload)
    regions.removeAll { $0 === region }
  }

  private func region(at address: UInt64) -> Region {
    guard let region = regions.first(where: { $0.contains(address) }) else {
      preconditionFailure("the test uses guest address \(address), where there is no memory")
    }
    return region
  }

  /// Where a guest address lies on this side.
  func host(_ address: UInt64) -> UnsafeMutableRawPointer {
    let region = region(at: address)
    return region.host + Int(address - region.message.guestAddress)
  }

  /// Writes guest memory, across regions.
  func write(_ bytes: [UInt8], at address: UInt64) {
    for (index, byte) in bytes.enumerated() {
      host(address + UInt64(index)).storeBytes(of: byte, as: UInt8.self)
    }
  }

  /// Reads guest memory, across regions.
  func read(_ count: Int, at address: UInt64) -> [UInt8] {
    (0..<count).map { host(address + UInt64($0)).load(as: UInt8.self) }
  }

  /// The address of the front end for one of the guest.
  func user(_ address: UInt64) -> UInt64 {
    let region = region(at: address)
    return region.message.userAddress + (address - region.message.guestAddress)
  }
}

/// The bytes of a value in memory.
func bytes<Value: BitwiseCopyable>(of value: Value) -> [UInt8] {
  withUnsafeBytes(of: value) { Array($0) }
}
