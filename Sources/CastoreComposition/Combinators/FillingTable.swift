import Castore
import Platform

/// The long blobs that are on their way: those that are read, and a few that were.
final class FillingTable: Sendable {
  // How many stay that nobody reads: what came of them need not come again.
  private static let idleLimit = 4

  private struct State {
    var fillings: [B3Digest: BlobFilling] = [:]
    // Not read, the longest first.
    var idle: [B3Digest] = []

    // Notes that nobody reads one; returns what makes room for it.
    mutating func idle(_ digest: B3Digest) -> BlobFilling? {
      idle.removeAll { $0 == digest }
      idle.append(digest)
      return idle.count > idleLimit ? fillings.removeValue(forKey: idle.removeFirst()) : nil
    }
  }

  private let state = Guarded(State())

  /// Opens a blob that is on its way.
  func reader(of digest: B3Digest) -> (any BlobReader)? {
    // Under the lock, so that it does not become idle in between.
    state.withLock { state in
      guard let filling = state.fillings[digest] else { return nil }
      state.idle.removeAll { $0 == digest }
      return filling.reader()
    }
  }

  /// Whether a blob is on its way.
  func holds(_ digest: B3Digest) -> Bool { state.withLock { $0.fillings[digest] != nil } }

  /// Adds one that was just begun, and that nobody reads yet.
  func add(_ filling: BlobFilling) {
    let dropped = state.withLock { state in
      state.fillings[filling.digest] = filling
      return state.idle(filling.digest)
    }
    // Ends outside the lock.
    _ = dropped
  }

  /// Lets go of one that is done, and of the one longest unread where there are too many.
  func released(_ filling: BlobFilling) {
    let dropped: BlobFilling? = state.withLock { state in
      let digest = filling.digest
      guard state.fillings[digest] === filling else { return nil }
      if filling.isDone {
        state.idle.removeAll { $0 == digest }
        return state.fillings.removeValue(forKey: digest)
      }
      return filling.isRead ? nil : state.idle(digest)
    }
    _ = dropped
  }

  /// Waits for those that have come to be near.
  func settle() async {
    for filling in state.withLock({ Array($0.fillings.values) }) { await filling.settle() }
  }
}
