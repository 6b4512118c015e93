internal import CLinux
internal import Glibc
internal import Platform

/// Memory that outlives this process, in which each ring notes the requests that it took and has not answered.
///
/// The front end keeps the file and gives it back to the next process, or connection: what
/// was in flight is then done once more instead of never. Its content is as hostile as all else.
final class InflightArea: Sendable {
  let queueCount: UInt16
  let queueSize: UInt16
  let byteCount: Int
  private let mapping: GuardedMapping

  /// Bytes for one queue, so that none shares a cache line with another.
  private static func stride(_ queueSize: UInt16) -> Int {
    (InflightTable.headerSize + InflightTable.entrySize * Int(queueSize) + 63) & ~63
  }

  /// How many bytes such an area takes.
  static func byteCount(queueCount: UInt16, queueSize: UInt16) -> Int {
    Int(queueCount) * stride(queueSize)
  }

  /// Makes the file for a fresh area, all zero.
  static func makeFile(queueCount: UInt16, queueSize: UInt16) throws(Errno) -> OwnedDescriptor {
    let number = try retryingOnInterrupt {
      memfd_create(
        "virtiofs-inflight",
        UInt32(CLinux_MFD_CLOEXEC) | UInt32(CLinux_MFD_ALLOW_SEALING)
      )
    }
    let file = OwnedDescriptor(adopting: number)
    let size = byteCount(queueCount: queueCount, queueSize: queueSize)
    _ = try retryingOnInterrupt { ftruncate(number, off_t(size)) }
    // Nobody can cut the file under a mapping of it.
    let seals = CInt(CLinux_F_SEAL_SHRINK) | CInt(CLinux_F_SEAL_GROW)
    _ = try retryingOnInterrupt { fcntl(number, CInt(CLinux_F_ADD_SEALS), seals) }
    return file
  }

  /// Takes an area that the front end kept.
  init(
    _ message: InflightDescription,
    file: borrowing OwnedDescriptor
  ) throws(FrontEndFault) {
    // As with guest memory: where the file takes the seal it cannot be cut under the mapping.
    _ = fcntl(file.number, CInt(CLinux_F_ADD_SEALS), CInt(CLinux_F_SEAL_SHRINK))
    var status = stat()
    guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      let fileSize = UInt64(exactly: status.st_size)
    else { throw FrontEndFault("the file of requests in flight is not in memory") }
    let needed = UInt64(Int(message.queueCount) * Self.stride(message.queueSize))
    let (end, overflow) = message.offset.addingReportingOverflow(message.size)
    guard needed > 0, message.size >= needed, !overflow, end <= fileSize,
      message.offset % 4096 == 0, let offset = off_t(exactly: message.offset)
    else { throw FrontEndFault("the file of requests in flight is too short, or not aligned") }
    do throws(Errno) {
      // To whole pages, which is how they are provided.
      let length = (Int(needed) + 4095) & ~4095
      mapping = try GuardedMapping(file, offset: offset, length: length, page: 4096)
    } catch {
      throw FrontEndFault("the file of requests in flight: mmap: \(error)")
    }
    byteCount = Int(needed)
    queueCount = message.queueCount
    queueSize = message.queueSize
  }

  /// Forgets all that is in flight. No ring may be in use.
  func clear() {
    guard let base = UnsafeMutableRawPointer(bitPattern: mapping.start) else { return }
    memset(base, 0, byteCount)
  }

  /// The part of one ring; nil if the area was not made for such a ring.
  func table(ofQueue index: Int, size: UInt16) -> InflightTable? {
    guard index < Int(queueCount), size <= queueSize,
      // Within the area: that is how large it was mapped.
      let base = UnsafeMutableRawPointer(
        bitPattern: mapping.start + UInt(index * Self.stride(queueSize))
      )
    else { return nil }
    return InflightTable(base: base, size: size, area: self)
  }
}

/// The requests of one ring that are in flight, in the layout of the vhost-user specification.
// Sendable: the pointer leads to memory that is shared with another process anyway; each access is atomic.
struct InflightTable: @unchecked Sendable {
  static let headerSize = 16
  static let entrySize = 16

  // `headerSize` + `size` entries lie there, as long as the area lives.
  private let base: UnsafeMutableRawPointer
  private let size: UInt16
  private let area: InflightArea
  private var counter: UInt64 = 0

  init(base: UnsafeMutableRawPointer, size: UInt16, area: InflightArea) {
    self.base = base
    self.size = size
    self.area = area
  }

  private func entry(_ head: UInt16) -> UnsafeMutableRawPointer {
    precondition(head < size, "heads are checked")
    return base + Self.headerSize + Self.entrySize * Int(head)
  }

  /// Finds out what has to be done again.
  ///
  /// - Parameters:
  ///   - usedIndex: That of the ring.
  ///   - availableIndex: That of the ring.
  /// - Returns: The heads of requests that were taken and not answered, oldest first. Nil if the table
  ///   tells nothing of this ring: it is new, or was another driver's.
  mutating func recover(usedIndex: UInt16, availableIndex: UInt16) -> [UInt16]? {
    let version = CLinux_load16(base + 8)
    let count = CLinux_load16(base + 10)
    guard version == 1, count == size else {
      begin(usedIndex: usedIndex)
      return nil
    }
    if CLinux_load16(base + 14) != usedIndex {
      // The last process ended between showing its last answer and noting it.
      let last = CLinux_load16(base + 12)
      if last < size { CLinux_store64(entry(last), 0) }
      CLinux_store16(base + 14, usedIndex)
    }
    var found: [(counter: UInt64, head: UInt16)] = []
    for head in 0..<size where CLinux_load64(entry(head)) & 0xFF != 0 {
      found.append((CLinux_load64(entry(head) + 8), head))
    }
    // What is in flight was made available and is not used.
    guard found.count <= Int(availableIndex &- usedIndex) else {
      begin(usedIndex: usedIndex)
      return nil
    }
    found.sort { $0.counter < $1.counter }
    counter = (found.last?.counter ?? 0) &+ 1
    return found.map(\.head)
  }

  /// Begins anew, with nothing in flight.
  private func begin(usedIndex: UInt16) {
    for head in 0..<size { CLinux_store64(entry(head), 0) }
    CLinux_store16(base + 8, 1)
    CLinux_store16(base + 10, size)
    CLinux_store16(base + 14, usedIndex)
  }

  /// Notes that a request was taken.
  mutating func begin(_ head: UInt16) {
    CLinux_store64(entry(head) + 8, counter)
    counter &+= 1
    CLinux_store64(entry(head), 1)
  }

  /// To call before an answer is shown to the guest.
  func willFinish(_ head: UInt16) {
    CLinux_store16(base + 12, head)
  }

  /// To call after the answer was shown, and a full fence.
  func didFinish(_ head: UInt16, usedIndex: UInt16) {
    CLinux_store64(entry(head), 0)
    CLinux_store16_release(base + 14, usedIndex)
  }
}
