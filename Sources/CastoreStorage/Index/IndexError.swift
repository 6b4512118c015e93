internal import CLMDB
internal import Castore
internal import Glibc
internal import Platform

extension ServiceError {
  /// The kind of failure that an error number stands for.
  static func code(for errno: Errno) -> Code {
    switch errno.code {
    case ENOSPC, EDQUOT, EFBIG: .outOfSpace
    case EACCES, EPERM, EROFS: .permissionDenied
    case ENOENT, ENOTDIR: .notFound
    case EUCLEAN, ELOOP: .corrupt
    case EMFILE, ENFILE, EAGAIN: .unavailable
    default: .io
    }
  }

  /// A failed system call.
  ///
  /// - Parameter doing: What could not be done, with the path, for example "write /s/tmp/1-a/3".
  static func system(_ errno: Errno, _ doing: String) -> ServiceError {
    ServiceError(code(for: errno), "cannot \(doing): \(errno)", cause: nil)
  }

  /// A failed call of LMDB.
  static func index(_ code: CInt, _ doing: String, _ path: String) -> ServiceError {
    let kind: Code =
      switch code {
      case MDB_MAP_FULL, MDB_MAP_RESIZED: .outOfSpace
      case MDB_CORRUPTED, MDB_INVALID, MDB_PAGE_NOTFOUND, MDB_VERSION_MISMATCH, MDB_NOTFOUND,
        MDB_INCOMPATIBLE:
        .corrupt
      case MDB_READERS_FULL: .unavailable
      case let number where number > 0: Self.code(for: Errno(number))
      default: .io
      }
    let sentence =
      if code > 0 {
        "\(Errno(code))"
      } else if code == MDB_MAP_RESIZED {
        "it outgrew the address space that this process may use"
      } else if let text = mdb_strerror(code) {
        String(cString: text)
      } else {
        "LMDB error \(code)"
      }
    return ServiceError(kind, "cannot \(doing) the index \(path): \(sentence)")
  }
}
