import Castore
import Glibc
import Platform

/// A temporary file without a name: gone with whoever holds it, whatever happens.
final class SpoolFile: Sendable {
  private let file: OwnedDescriptor
  private let folder: String

  /// Makes an empty one.
  ///
  /// - Parameter folder: Where its bytes go; by default where the system keeps large temporary files.
  init(in folder: String?) throws(ServiceError) {
    let folder = folder ?? getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp"
    self.folder = folder
    var name = Array("\(folder)/castore-XXXXXX".utf8CString)
    let number = mkstemp(&name)
    guard number >= 0 else {
      throw ServiceError(.current, "cannot make a temporary file in \(folder)")
    }
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    unlink(name)
    file = OwnedDescriptor(adopting: number)
  }

  /// Writes bytes at an offset.
  func write(_ bytes: [UInt8], at offset: UInt64) async throws(ServiceError) {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in
      var written = 0
      while written < bytes.count {
        do throws(Errno) {
          written += try retryingOnInterrupt {
            bytes.withUnsafeBytes { bytes in
              pwrite(
                file.number,
                bytes.baseAddress.map { $0 + written },
                bytes.count - written,
                off_t(offset) + off_t(written)
              )
            }
          }
        } catch {
          throw ServiceError(error, "cannot write a temporary file in \(folder)")
        }
      }
    }
  }

  /// Reads bytes that were written.
  func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
    try await BlockingPool.shared.run { [self] () throws(ServiceError) in
      var failure: ServiceError?
      let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        while filled < count {
          do throws(Errno) {
            let read = try retryingOnInterrupt {
              pread(
                file.number,
                buffer.baseAddress.map { $0 + filled },
                count - filled,
                off_t(offset) + off_t(filled)
              )
            }
            if read == 0 { break }
            filled += read
          } catch {
            failure = ServiceError(error, "cannot read a temporary file in \(folder)")
            break
          }
        }
      }
      if let failure { throw failure }
      guard bytes.count == count else {
        throw ServiceError(.io, "a temporary file in \(folder) ends early")
      }
      return bytes
    }
  }
}
