internal import Castore
internal import Glibc
internal import Platform

/// The file `state`: two numbers that tell everybody who has the store open what has changed below him.
///
/// Bytes 0 to 7: the epoch, little-endian: odd while a collection has its condemned set published, one more
/// when it is done. Bytes 8 to 15: changed whenever something is noted in the list of damage. A missing or
/// short file is made anew; the numbers only have to differ.
final class CollectionState: Sendable {
  /// One reading.
  struct Reading: Equatable {
    var epoch: UInt64
    var damage: UInt64

    /// Whether a condemned set is published.
    var isCollecting: Bool { epoch % 2 == 1 }
  }

  private let file: OwnedDescriptor
  private let path: String

  static func create(
    in root: borrowing OwnedDescriptor,
    path: String,
    access: StoreAccess
  ) throws(ServiceError) {
    let name = StoreLayout.stateName
    do throws(Errno) {
      // Random, so that a state that was lost and made anew differs from what others remember; even.
      let epoch = UInt64.random(in: 0 ... .max) & (.max >> 8) & ~1
      let bytes =
        withUnsafeBytes(of: epoch.littleEndian) { [UInt8]($0) } + Array(repeating: 0, count: 8)
      try StoreLayout.writeFile(name, in: root, bytes: bytes, access: access)
    } catch {
      if error.code == EEXIST { return }
      throw ServiceError.system(error, "create \(path)/\(name)")
    }
  }

  /// Opens the file of a store.
  ///
  /// - Parameter writable: Whether to be able to change it.
  init(
    in root: borrowing OwnedDescriptor,
    path: String,
    access: StoreAccess,
    writable: Bool
  ) throws(ServiceError) {
    let name = StoreLayout.stateName
    let flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
    var number = openat(root.number, name, flags)
    if number == -1 && errno == ENOENT && writable {
      try Self.create(in: root, path: path, access: access)
      number = openat(root.number, name, flags)
    }
    if number == -1 { throw ServiceError.system(.current, "open \(path)/\(name)") }
    file = OwnedDescriptor(adopting: number)
    self.path = "\(path)/\(name)"
  }

  /// Reads both numbers: one system call.
  func read() throws(ServiceError) -> Reading {
    var words: (UInt64, UInt64) = (0, 0)
    let count: Int
    do throws(Errno) {
      count = try withUnsafeMutableBytes(of: &words) { (bytes) throws(Errno) in
        try FileIO.read(file.number, at: 0, into: bytes)
      }
    } catch {
      throw ServiceError.system(error, "read \(path)")
    }
    if count < 16 { return Reading(epoch: 0, damage: 0) }
    return Reading(epoch: UInt64(littleEndian: words.0), damage: UInt64(littleEndian: words.1))
  }

  /// Sets the epoch; the collector's alone, who holds the collector's lock.
  func setEpoch(_ epoch: UInt64) throws(ServiceError) {
    try write(epoch, at: 0)
  }

  /// Tells everybody that the list of damage has grown.
  func noteDamage() throws(ServiceError) {
    try write(.random(in: 1 ... .max), at: 8)
  }

  private func write(_ value: UInt64, at offset: UInt64) throws(ServiceError) {
    do throws(Errno) {
      try withUnsafeBytes(of: value.littleEndian) { (bytes) throws(Errno) in
        try FileIO.writeAll(bytes, to: file.number, at: offset)
      }
    } catch {
      throw ServiceError.system(error, "write \(path)")
    }
  }
}
