internal import CLinux
internal import Castore
internal import Glibc
internal import Platform

/// A blob's file while it is written, in the folder of a session. Removed unless it is kept.
///
/// For one thread at a time.
// Sendable: used by one thread at a time; `isKept` and `size` change hands with the object.
final class NewBlobFile: @unchecked Sendable {
  let name: String
  /// How many bytes were written.
  private(set) var size: UInt64 = 0
  let file: OwnedDescriptor

  let session: Session
  private var isKept = false
  private var writtenBack: UInt64 = 0
  /// How much may be written before the kernel is asked to start bringing it to the disk.
  private static let writebackStep: UInt64 = 16 << 20

  init(in session: Session, access: StoreAccess) throws(ServiceError) {
    let name = session.newFileName()
    let parent = session.folder.number
    let number = openat(
      parent,
      name,
      O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
      0o600
    )
    if number == -1 { throw ServiceError.system(.current, "create \(session.path)/\(name)") }
    file = OwnedDescriptor(adopting: number)
    self.name = name
    self.session = session
    do throws(Errno) {
      try access.apply(toFile: number, sealed: true)
    } catch {
      throw ServiceError.system(error, "set the mode of \(session.path)/\(name)")
    }
  }

  deinit {
    if !isKept { unlinkat(session.folder.number, name, 0) }
  }

  /// Where the file lies, for messages.
  var path: String { "\(session.path)/\(name)" }

  /// Long runs of zeros are left out: what is sparse outside is sparse in the store, too.
  func append(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) {
    do throws(Errno) {
      try FileIO.writeSparsely(bytes, to: file.number, at: size)
    } catch {
      throw ServiceError.system(error, "write \(path)")
    }
    size += UInt64(bytes.count)
    if size - writtenBack >= Self.writebackStep { startWriteback() }
  }

  /// Takes over all of another file without copying, where the file system can.
  ///
  /// - Returns: Whether it could.
  func clone(_ source: borrowing OwnedDescriptor) -> Bool {
    if ioctl(file.number, UInt(CLinux_FICLONE), source.number) != 0 { return false }
    var status = stat()
    if fstat(file.number, &status) != 0 { return false }
    size = UInt64(clamping: status.st_size)
    return true
  }

  /// Lets the kernel begin to write what is there, so that the sync later waits less.
  func startWriteback() {
    // Only a hint: the sync before the commit is what counts.
    let start = Int(clamping: writtenBack)
    _ = sync_file_range(file.number, start, 0, UInt32(CLinux_SYNC_FILE_RANGE_WRITE))
    writtenBack = size
  }

  /// Makes the bytes durable. Corresponds to `fsync(2)`.
  func sync() throws(ServiceError) {
    do throws(Errno) {
      let number = file.number
      _ = try retryingOnInterrupt { fsync(number) }
    } catch {
      throw ServiceError.system(error, "sync \(path)")
    }
  }

  /// Gives the file its name, relative to another folder: it is no longer removed with this object.
  ///
  /// - Returns: What `renameat(2)` returns.
  func rename(to newName: UnsafePointer<CChar>, in newFolder: CInt) -> CInt {
    let code = renameat(session.folder.number, name, newFolder, newName)
    if code == 0 { isKept = true }
    return code
  }
}
