public import Castore
public import NixCompat

/// Why a NAR, or another archive, did not become a tree. Nothing refers to what was stored of it.
public enum NARIngestionError: Error, Sendable {
  /// The bytes are not a NAR, or their source failed; the error says where.
  case malformed(NARError)
  /// The directories that are open hold more entries than may be in memory.
  case tooManyEntries(limit: Int)
  /// A directory is not one that can be stored.
  case invalidDirectory(path: String, DirectoryError)
  /// The store failed.
  case notStored(path: String, ServiceError)
  /// The NAR has another size than was expected.
  case wrongSize(expected: UInt64, got: UInt64)
  /// The NAR, or the file in it, has another hash than was expected.
  case wrongHash(of: String, expected: NixHash, got: NixHash)
  /// The content address is that of a single file, but the NAR holds something else.
  case notAFile(ContentAddress, got: NodeKind)
}

extension NARIngestionError: CustomStringConvertible {
  /// One sentence for a person.
  public var description: String {
    switch self {
    case .malformed(let error): "\(error)"
    case .tooManyEntries(let limit):
      "the archive has directories with more than \(limit) entries open at once"
    case .invalidDirectory(let path, let error): "\(path): \(error)"
    case .notStored(let path, let error): "cannot store \(path): \(error)"
    case .wrongSize(let expected, let got):
      "the NAR has \(got) bytes, but \(expected) were expected"
    case .wrongHash(let what, let expected, let got):
      "the \(what) has the hash \(got), but \(expected) was expected"
    case .notAFile(let address, let kind):
      "the content address \(address) is that of a file, but the NAR holds a \(kind)"
    }
  }
}
