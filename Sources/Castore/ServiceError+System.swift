internal import Glibc
package import Platform

extension ServiceError {
  /// A failed system call on a path.
  ///
  /// - Parameter doing: What could not be done, with the path: "read a/b".
  package static func system(_ errno: Errno, _ doing: String) -> ServiceError {
    let code: Code =
      switch errno.code {
      case ENOSPC, EDQUOT, EFBIG: .outOfSpace
      case EACCES, EPERM, EROFS: .permissionDenied
      case ENOENT, ENOTDIR: .notFound
      case EMFILE, ENFILE: .unavailable
      default: .io
      }
    return ServiceError(code, "cannot \(doing): \(errno)")
  }
}
