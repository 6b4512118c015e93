internal import Castore
internal import Glibc
internal import Platform
internal import Synchronization

/// A folder below `tmp/` that belongs to one writer for as long as this object lives.
///
/// The writer holds a `flock` on it, which the system drops when the process dies, in whatever way:
/// a folder whose lock can be taken belongs to nobody.
final class TemporaryFolder: Sendable {
  /// The folder, for messages.
  let path: String
  /// The folder itself; files are made and renamed relative to it.
  let descriptor: OwnedDescriptor

  private let name: String
  private let parent: OwnedDescriptor
  private let nextFile = Atomic<UInt64>(0)

  /// Makes a folder and takes its lock.
  ///
  /// - Parameters:
  ///   - parent: The store's `tmp/`.
  ///   - path: Its path, for messages.
  init(in parent: consuming OwnedDescriptor, path: String) throws(ServiceError) {
    while true {
      let name = "\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
      if mkdirat(parent.number, name, 0o700) != 0 {
        if errno == EEXIST { continue }
        throw ServiceError.system(.current, "create \(path)/\(name)")
      }
      let number = openat(parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if number == -1 {
        // Another process swept it away between the two calls: try again.
        if errno == ENOENT { continue }
        throw ServiceError.system(.current, "open \(path)/\(name)")
      }
      let descriptor = OwnedDescriptor(adopting: number)
      var status = stat()
      if flock(number, LOCK_EX | LOCK_NB) != 0 { continue }
      // Swept away before the lock was ours.
      if fstat(number, &status) != 0 || status.st_nlink == 0 { continue }
      self.name = name
      self.path = "\(path)/\(name)"
      self.descriptor = descriptor
      self.parent = parent
      return
    }
  }

  deinit {
    Self.removeFiles(in: descriptor)
    unlinkat(parent.number, name, AT_REMOVEDIR)
  }

  /// A name that no other file of this folder has or had.
  func newName() -> String {
    String(nextFile.wrappingAdd(1, ordering: .relaxed).oldValue)
  }

  /// Removes what writers left behind that are gone. Errors leave things for the next time.
  static func sweep(_ parent: borrowing OwnedDescriptor) {
    guard let names = try? FolderListing.names(in: parent) else { return }
    for name in names {
      let path = name.map { CChar(bitPattern: $0) } + [0]
      let number = openat(parent.number, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      if number == -1 { continue }
      let folder = OwnedDescriptor(adopting: number)
      if flock(number, LOCK_EX | LOCK_NB) != 0 { continue }
      removeFiles(in: folder)
      unlinkat(parent.number, path, AT_REMOVEDIR)
    }
  }

  private static func removeFiles(in folder: borrowing OwnedDescriptor) {
    guard let names = try? FolderListing.names(in: folder) else { return }
    for name in names {
      unlinkat(folder.number, name.map { CChar(bitPattern: $0) } + [0], 0)
    }
  }
}
