internal import Platform

/// The open folders on the way from the root of a walk to where it is.
///
/// A tree may be deeper than a process may have files open: only the deepest stay open, and those
/// above are opened again, by way of `..`, when the walk comes back up to them. That they are the
/// same folders as before is checked: somebody may move them meanwhile.
struct FolderStack {
  private struct Level {
    var handle: FolderHandle?
    var id: FileID
  }

  /// How many folders are open at most.
  private let limit: Int
  private var levels: [Level] = []
  /// Those below that place are closed.
  private var firstOpen = 0

  init(limit: Int = 64) {
    self.limit = limit
  }

  /// The folder where the walk is. Open as long as the stack is not empty.
  var top: FolderHandle? { levels.last?.handle }

  mutating func push(_ handle: FolderHandle) {
    levels.append(Level(handle: handle, id: handle.id))
    if levels.count - firstOpen > limit {
      levels[firstOpen].handle = nil
      firstOpen += 1
    }
  }

  /// Leaves the top folder.
  ///
  /// - Returns: False where the folder above is no longer the one that it was.
  mutating func pop() throws(Errno) -> Bool {
    let left = levels.removeLast()
    guard let last = levels.indices.last, levels[last].handle == nil, let child = left.handle else {
      return true
    }
    firstOpen = last
    levels[last].handle = try child.openParent(levels[last].id)
    return levels[last].handle != nil
  }
}
