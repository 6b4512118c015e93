internal import Castore
internal import Glibc
internal import Platform

/// An open folder, shared by those who work below it; closed when the last lets go.
final class FolderHandle: Sendable {
  let descriptor: OwnedDescriptor
  let id: FileID

  var number: CInt { descriptor.number }

  init(adopting number: CInt) throws(Errno) {
    descriptor = OwnedDescriptor(adopting: number)
    var status = stat()
    if fstat(number, &status) != 0 { throw Errno.current }
    id = FileID(status)
  }

  /// Opens a folder inside this one, not following a link.
  func open(_ name: PathComponent) throws(Errno) -> FolderHandle {
    let parent = number
    return try FolderHandle(
      adopting: try name.withCString { (name) throws(Errno) in
        try retryingOnInterrupt {
          openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
      }
    )
  }

  /// Opens the folder above, which must be the one with that identity; `nil` where it is not.
  func openParent(_ expected: FileID) throws(Errno) -> FolderHandle? {
    let child = number
    let parent = try FolderHandle(
      adopting: try retryingOnInterrupt {
        openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      }
    )
    return parent.id == expected ? parent : nil
  }
}

/// Which file of the machine it is, whatever its name.
struct FileID: Hashable {
  private var device: dev_t
  private var inode: ino_t

  init(_ status: stat) {
    device = status.st_dev
    inode = status.st_ino
  }
}

extension PathComponent {
  /// Lends the name as C wants it, without allocating on the heap.
  func withCString<Result, Failure: Error>(
    _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var terminated = InlineArray<256, CChar>(repeating: 0)
    // At most 255 bytes, none of them NUL.
    for (index, byte) in bytes.enumerated() { terminated[index] = CChar(bitPattern: byte) }
    return try terminated.span.withUnsafeBufferPointer { (buffer) throws(Failure) in
      guard let base = buffer.baseAddress else { preconditionFailure("the array is not empty") }
      return try body(base)
    }
  }
}
