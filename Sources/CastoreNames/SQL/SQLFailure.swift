internal import CSQLite
internal import Castore
internal import Glibc

/// What SQLite said, with the error number of the system beneath.
struct SQLFailure: Error, CustomStringConvertible {
  let code: CInt
  let systemCode: CInt
  let message: String

  init(code: CInt, database: OpaquePointer?) {
    self.code = code
    systemCode = database.map { sqlite3_system_errno($0) } ?? 0
    message = String(cString: sqlite3_errstr(code))
  }

  var description: String {
    let said = "SQLite: \(message) (\(code))"
    guard systemCode != 0, let text = strerror(systemCode) else { return said }
    return "\(said), \(String(cString: text))"
  }

  /// Whether reading failed for want of the files beside the names, which only who may write can make.
  var isLackOfSharedMemory: Bool {
    switch code & 0xFF {
    case SQLITE_CANTOPEN, SQLITE_READONLY, SQLITE_PERM, SQLITE_FULL: true
    case SQLITE_IOERR:
      // IOERR_SHMOPEN, SHMSIZE, SHMLOCK, SHMMAP; the macros of extended codes are not imported.
      [18, 19, 20, 21].contains(code >> 8) || systemCode == ENOSPC || systemCode == EROFS
    default: false
    }
  }
}

extension ServiceError {
  /// The file of names is not what was written.
  static func namesDamaged(_ path: String, _ what: String? = nil, cause: (any Error)? = nil) -> Self
  {
    let detail = what.map { ": \($0)" } ?? ""
    return ServiceError(
      .corrupt,
      "the names of the store are damaged\(detail); restore \(path) from a backup, or save what "
        + "can still be read with: sqlite3 \(path) .recover",
      cause: cause
    )
  }

  /// The file of names is gone.
  static func namesMissing(_ path: String) -> Self {
    ServiceError(
      .corrupt,
      "the names of the store are missing: there is no \(path); restore it from a backup "
        + "(nothing is collected until then)"
    )
  }

  static func names(_ path: String, _ failure: SQLFailure) -> Self {
    let code: ServiceError.Code
    let what: String
    switch failure.code & 0xFF {
    // "SQL logic error" is a table or column that is not there: the statements never change.
    case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_ERROR, SQLITE_FORMAT, SQLITE_SCHEMA:
      return namesDamaged(path, cause: failure)
    case SQLITE_BUSY, SQLITE_LOCKED:
      (code, what) = (.unavailable, "others kept \(path) locked for too long")
    case SQLITE_FULL:
      (code, what) = (.outOfSpace, "there is no room to write \(path)")
    case SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH:
      (code, what) = (.permissionDenied, "\(path) cannot be written")
    case SQLITE_CANTOPEN where [EACCES, EPERM, EROFS].contains(failure.systemCode):
      (code, what) = (.permissionDenied, "\(path) cannot be opened")
    case SQLITE_IOERR where [ENOSPC, EDQUOT].contains(failure.systemCode):
      (code, what) = (.outOfSpace, "there is no room to write \(path)")
    default:
      (code, what) = (.io, "\(path) cannot be read or written")
    }
    return ServiceError(code, what, cause: failure)
  }
}
