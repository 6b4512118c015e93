internal import Castore
internal import Packs
internal import Platform
internal import SystemPackage

extension ServiceError {
  /// What went wrong in a pack, a table or a journal.
  init(_ error: PackError, in place: String) {
    switch error {
    case .system(let code, let what):
      self = .system(Platform.Errno(code.rawValue), "\(place): \(what)")
    case .damaged(let what):
      self.init(.corrupt, "\(place): \(what)")
    case .unsupported(let what):
      self.init(.unsupported, "\(place): \(what)")
    }
  }
}

extension PackKey {
  /// A digest as packs know it: the same bytes.
  init(_ digest: B3Digest) {
    self.init(words: digest.words)
  }
}

extension B3Digest {
  init(_ key: PackKey) {
    self.init(words: key.words)
  }
}

extension ObjectKind {
  /// The kinds of records that are such an object.
  var records: RecordKinds { self == .blob ? .blobs : .directories }

  init(_ kind: RecordKind) {
    self = kind == .directory ? .directory : .blob
  }
}
