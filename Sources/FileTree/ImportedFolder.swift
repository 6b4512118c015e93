internal import Castore
internal import Platform

/// A folder of which some entries are not stored yet.
final class ImportedFolder: Sendable {
  /// Its name in the folder above; `nil` at the root.
  let name: PathComponent?

  private struct State {
    var parent: ImportedFolder?
    var entries: [NamedNode] = []
    /// Entries to come; the walk itself counts for one as long as it may find more.
    var outstanding = 1
  }

  private let state: Guarded<State>

  init(name: PathComponent?, parent: ImportedFolder?) {
    self.name = name
    state = Guarded(State(parent: parent))
  }

  /// Announces an entry that will be added later.
  func expectEntry() {
    state.withLock { $0.outstanding += 1 }
  }

  /// Adds an entry that nobody was told to expect.
  func add(_ entry: NamedNode) {
    state.withLock { $0.entries.append(entry) }
  }

  /// Adds an expected entry, or ends the walk of the folder.
  ///
  /// - Returns: All entries, if these are all; and the folder above, which is let go of: chains of
  ///   folders must not be freed one inside the other.
  func finishEntry(_ entry: NamedNode?) -> (entries: [NamedNode], parent: ImportedFolder?)? {
    state.withLock { state in
      if let entry { state.entries.append(entry) }
      state.outstanding -= 1
      if state.outstanding > 0 { return nil }
      let result = (state.entries, state.parent)
      state.entries = []
      state.parent = nil
      return result
    }
  }

  /// Cuts the chain of folders from here up, after a failure: a long one freed as a whole would
  /// take one stack frame for each.
  func dismantle() {
    var folder: ImportedFolder? = self
    while let current = folder {
      folder = current.state.withLock { state in
        defer { state.parent = nil }
        return state.parent
      }
    }
  }

  /// The names from the root to here.
  var path: [PathComponent] {
    var names: [PathComponent] = []
    var folder: ImportedFolder? = self
    while let current = folder {
      if let name = current.name { names.append(name) }
      folder = current.state.withLock { $0.parent }
    }
    return names.reversed()
  }
}
