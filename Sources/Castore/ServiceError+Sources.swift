internal import Glibc
public import Platform

extension ServiceError {
  /// A blob that must be there by now is missing.
  public static func blobNotFound(_ digest: B3Digest) -> ServiceError {
    ServiceError(.notFound, "blob \(digest) does not exist")
  }

  /// A directory that must be there by now is missing.
  public static func directoryNotFound(_ digest: B3Digest) -> ServiceError {
    ServiceError(.notFound, "directory \(digest) does not exist")
  }

  /// Bytes do not have the digest under which they were asked for.
  ///
  /// - Parameter what: What they were to be, for example "blob".
  public static func digestMismatch(
    _ what: String,
    expected: B3Digest,
    got: B3Digest
  ) -> ServiceError {
    ServiceError(.corrupt, "\(what) \(expected) is damaged: its bytes have the digest \(got)")
  }

  /// What is stored or sent as a directory is none.
  public static func corruptDirectory(
    _ digest: B3Digest,
    _ cause: DirectoryError
  ) -> ServiceError {
    ServiceError(.corrupt, "directory \(digest) is damaged", cause: cause)
  }

  /// A system call failed.
  ///
  /// - Parameter action: What was tried, with the path: "cannot create /store/tmp/1".
  public init(_ error: Errno, _ action: String) {
    let code: Code =
      switch error.code {
      case ENOSPC, EDQUOT: .outOfSpace
      case EACCES, EPERM, EROFS: .permissionDenied
      case EOPNOTSUPP, ENOSYS: .unsupported
      case ECANCELED: .cancelled
      case ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EPIPE, ETIMEDOUT: .unavailable
      default: .io
      }
    self.init(code, action, cause: error)
  }

  /// Whether the process or the system has no descriptor left: closing some may help.
  public var isShortageOfDescriptors: Bool {
    guard let code = (cause as? Errno)?.code else { return false }
    return code == EMFILE || code == ENFILE
  }
}
