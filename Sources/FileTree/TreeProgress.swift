internal import Synchronization

/// How far an import or export is; may be read from any thread at any time.
public final class TreeProgress: Sendable {
  /// The counts at one moment.
  public struct Snapshot: Hashable, Sendable {
    /// Files that are done.
    public var files: UInt64
    /// Bytes of files, read or written so far.
    public var bytes: UInt64
    /// Folders that are done.
    public var directories: UInt64
    /// Symbolic links that are done.
    public var symlinks: UInt64
    /// Sockets, devices and fifos that were left out.
    public var skipped: UInt64
  }

  let files = Atomic<UInt64>(0)
  let bytes = Atomic<UInt64>(0)
  let directories = Atomic<UInt64>(0)
  let symlinks = Atomic<UInt64>(0)
  let skipped = Atomic<UInt64>(0)

  init() {}

  /// The counts now.
  public var snapshot: Snapshot {
    Snapshot(
      files: files.load(ordering: .relaxed),
      bytes: bytes.load(ordering: .relaxed),
      directories: directories.load(ordering: .relaxed),
      symlinks: symlinks.load(ordering: .relaxed),
      skipped: skipped.load(ordering: .relaxed)
    )
  }
}
