internal import Castore
internal import Glibc
internal import Platform

/// Where things lie in a store's folder, and how the folder comes to be. See docs/store.md.
enum StoreLayout {
  static let packsName = "packs"
  static let blobsName = "blobs"
  static let indexName = "index"
  static let temporaryName = "tmp"
  static let namesName = "names"
  static let stateName = "state"
  static let asideName = "aside"

  private static let folders = [packsName, blobsName, indexName, temporaryName]
  // A rename source for `format`; also tolerated in the folder of a half-made store.
  private static let formatDraftPrefix = ".format."

  /// Says whether a folder has its `format` file.
  static func isStore(_ root: borrowing OwnedDescriptor) -> Bool {
    var status = stat()
    return fstatat(root.number, StoreFormat.name, &status, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// Makes a folder a store. Any number of processes may do so at once.
  ///
  /// - Parameter makeNames: Makes the file of names, which must be there before the format is.
  static func create(
    in root: borrowing OwnedDescriptor,
    path: String,
    options: StoreOptions,
    makeNames: () throws(ServiceError) -> Void
  ) throws(ServiceError) {
    try refuseForeignEntries(in: root, path: path)
    let access = options.access
    // A folder that its owner has closed stays closed.
    if faccessat(root.number, ".", W_OK | X_OK, AT_EACCESS) != 0 {
      throw ServiceError.system(.current, "create a store in \(path)")
    }
    do throws(Errno) {
      _ = try retryingOnInterrupt { fchmod(root.number, access.folderMode) }
    } catch {
      throw ServiceError.system(error, "set the mode of \(path)")
    }
    for name in folders {
      if mkdirat(root.number, name, access.folderMode) != 0 && errno != EEXIST {
        throw ServiceError.system(.current, "create \(path)/\(name)")
      }
      let folder = try StoreFolder.open(name, in: root, path: path)
      do throws(Errno) {
        try access.apply(toFolder: folder.number)
      } catch {
        throw ServiceError.system(error, "set the mode of \(path)/\(name)")
      }
    }
    try CollectionState.create(in: root, path: path, access: access)
    try makeNames()
    let draft = "\(formatDraftPrefix)\(getpid()).\(UInt32.random(in: 0 ... .max))"
    do throws(Errno) {
      // The format comes last: a folder that has it has all the rest, durably.
      try writeFile(
        draft,
        in: root,
        bytes: [UInt8](StoreFormat(options: options).text.utf8),
        access: access
      )
      // Not over another's: whoever was first decides the options.
      if linkat(root.number, draft, root.number, StoreFormat.name, 0) != 0 && errno != EEXIST {
        let error = Errno.current
        // A file system without links: a rename does nearly as well.
        guard [EPERM, EOPNOTSUPP, ENOSYS, EMLINK].contains(error.code) else { throw error }
        _ = try retryingOnInterrupt {
          renameat(root.number, draft, root.number, StoreFormat.name)
        }
      }
      unlinkat(root.number, draft, 0)
      _ = try retryingOnInterrupt { fsync(root.number) }
    } catch {
      unlinkat(root.number, draft, 0)
      throw ServiceError.system(error, "create \(path)/\(StoreFormat.name)")
    }
  }

  /// Writes a small file durably, but not yet its name.
  static func writeFile(
    _ name: String,
    in folder: borrowing OwnedDescriptor,
    bytes: [UInt8],
    access: StoreAccess
  ) throws(Errno) {
    let number = folder.number
    let file = OwnedDescriptor(
      adopting: try retryingOnInterrupt {
        openat(number, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
      }
    )
    try access.apply(toFile: file.number, sealed: false)
    try bytes.span.bytes.withUnsafeBytes { (bytes) throws(Errno) in
      try FileIO.writeAll(bytes, to: file.number, at: 0)
    }
    _ = try retryingOnInterrupt { fsync(file.number) }
  }

  private static func refuseForeignEntries(
    in root: borrowing OwnedDescriptor,
    path: String
  ) throws(ServiceError) {
    let names: [[UInt8]]
    do throws(Errno) {
      names = try FolderListing.names(in: root)
    } catch {
      throw ServiceError.system(error, "list \(path)")
    }
    for bytes in names {
      let name = String(decoding: bytes, as: UTF8.self)
      if folders.contains(name) || name == stateName || name == StoreFormat.name
        || name.hasPrefix(formatDraftPrefix) || name.hasPrefix(namesName)
      {
        continue
      }
      throw ServiceError(
        .invalidArgument,
        "cannot make a store of \(path): the folder holds other things (\(escaped(bytes)))"
      )
    }
  }
}
