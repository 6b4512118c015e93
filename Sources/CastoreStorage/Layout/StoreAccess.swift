internal import Glibc
internal import Platform

/// Who may use a store: a choice made when it is made, and kept whatever the umask says later.
public enum StoreAccess: String, Hashable, Sendable, CaseIterable {
  /// Its owner alone.
  case owner
  /// The group that owns the folder, too.
  case group

  /// The mode of folders.
  var folderMode: mode_t {
    switch self {
    case .owner: 0o700
    case .group: 0o2770
    }
  }

  /// The mode of files that are written while they are there.
  var fileMode: mode_t {
    switch self {
    case .owner: 0o600
    case .group: 0o660
    }
  }

  /// The mode of files that are never written again: packs, blobs, tables.
  var sealedMode: mode_t {
    switch self {
    case .owner: 0o400
    case .group: 0o440
    }
  }

  /// Gives a new folder its mode, against the umask. The owner's alone needs none.
  func apply(toFolder number: CInt) throws(Errno) {
    if self == .owner { return }
    _ = try retryingOnInterrupt { fchmod(number, folderMode) }
  }

  /// Gives a new file its mode, against the umask.
  func apply(toFile number: CInt, sealed: Bool) throws(Errno) {
    _ = try retryingOnInterrupt { fchmod(number, sealed ? sealedMode : fileMode) }
  }
}
