package import SystemPackage

/// Why a pack, a table or a journal could not be read or written.
package enum PackError: Error, Hashable, Sendable {
  /// A system call failed; the text says which, on what.
  case system(Errno, String)
  /// The bytes are not what was written; the text says which part, and why.
  case damaged(String)
  /// Something of a later version, or beyond a limit of this one.
  case unsupported(String)
}

extension PackError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .system(let error, let what): "\(what): \(error)"
    case .damaged(let what): "damaged: \(what)"
    case .unsupported(let what): "not supported: \(what)"
    }
  }
}
