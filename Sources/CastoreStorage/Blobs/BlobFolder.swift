internal import CLinux
internal import Castore
internal import Glibc
internal import Platform

/// The folder `blobs/`: the plain files of large blobs, named by their digest.
///
/// A file gets its name before the pack that knows of it is sealed: a crash in between leaves a file that no
/// pack knows, which a collection removes.
struct BlobFolder: Sendable {
  /// The store's folder, for messages.
  let storePath: String
  let access: StoreAccess
  let descriptor: SharedDescriptor

  /// The folder's path, for messages.
  var path: String { "\(storePath)/\(StoreLayout.blobsName)" }

  /// The path of a blob's file, for messages.
  func path(of digest: B3Digest) -> String { "\(path)/\(BlobFileName.path(of: digest))" }

  init(in root: borrowing OwnedDescriptor, path: String, access: StoreAccess) throws(ServiceError) {
    storePath = path
    self.access = access
    descriptor = SharedDescriptor(
      try StoreFolder.open(StoreLayout.blobsName, in: root, path: path)
    )
  }

  // MARK: Reading

  /// Says whether a blob has a plain file of that length.
  func holds(_ digest: B3Digest, size: UInt64) -> Bool {
    var status = stat()
    let code = BlobFileName.withPath(of: digest) { name in
      fstatat(descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW)
    }
    return code == 0 && status.st_mode & S_IFMT == S_IFREG
      && UInt64(exactly: status.st_size) == size
  }

  /// Opens the file of a blob that a pack knows of, and checks that it is a plain file of that length.
  func open(_ digest: B3Digest, size: UInt64) throws(ServiceError) -> OwnedDescriptor {
    let folder = descriptor.number
    let number: CInt
    do throws(Errno) {
      number = try BlobFileName.withPath(of: digest) { (name) throws(Errno) in
        try retryingOnInterrupt {
          openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        }
      }
    } catch {
      var failure = ServiceError.system(error, "open \(path(of: digest))")
      // A pack knows the blob: that its file is missing is damage.
      if error.code == ENOENT { failure.code = .corrupt }
      throw failure
    }
    let file = OwnedDescriptor(adopting: number)
    var status = stat()
    if fstat(number, &status) != 0 {
      throw ServiceError.system(.current, "look at \(path(of: digest))")
    }
    guard status.st_mode & S_IFMT == S_IFREG, UInt64(exactly: status.st_size) == size else {
      throw ServiceError(
        .corrupt,
        "\(path(of: digest)) should be a file of \(size) bytes and is not (\(status.st_size) bytes)"
      )
    }
    return file
  }

  // MARK: Publishing

  /// Up to so many files and folders are synced one by one; beyond, syncing the whole file system costs less.
  private static let singleSyncLimit = 8

  /// Gives complete files their names, durably. Their sessions hold the blobs: see `Collector`.
  func publish(_ files: [(digest: B3Digest, file: NewBlobFile)]) throws(ServiceError) {
    if files.isEmpty { return }
    if files.count <= Self.singleSyncLimit {
      for file in files { try file.file.sync() }
    } else {
      try syncFileSystem()
    }
    var touched: Set<Int> = []
    for file in files {
      let index = BlobFileName.folderIndex(of: file.digest)
      if touched.insert(index).inserted { try makeFolder(BlobFileName.folderName(index)) }
      let code = BlobFileName.withPath(of: file.digest) { path in
        file.file.rename(to: path, in: descriptor.number)
      }
      if code != 0 {
        throw ServiceError.system(
          .current,
          "rename \(file.file.path) to \(path(of: file.digest))"
        )
      }
    }
    // A rename alone may be lost: the folders must be durable before a pack speaks of the files.
    if touched.count > Self.singleSyncLimit { return try syncFileSystem() }
    for index in touched {
      try sync(descriptor.number, BlobFileName.folderName(index), path)
    }
    // Always: a folder that was there may be another writer's, made but not synced yet.
    try sync(descriptor.number, ".", path)
  }

  private func makeFolder(_ name: String) throws(ServiceError) {
    if mkdirat(descriptor.number, name, access.folderMode) != 0 {
      if errno == EEXIST { return }
      throw ServiceError.system(.current, "create \(path)/\(name)")
    }
    let folder = try descriptor.withOwned { (parent) throws(ServiceError) in
      try StoreFolder.open(name, in: parent, path: path)
    }
    do throws(Errno) {
      try access.apply(toFolder: folder.number)
    } catch {
      throw ServiceError.system(error, "set the mode of \(path)/\(name)")
    }
  }

  private func sync(
    _ parent: CInt,
    _ name: String,
    _ path: String
  ) throws(ServiceError) {
    do throws(Errno) {
      let file = OwnedDescriptor(
        adopting: try retryingOnInterrupt {
          openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        }
      )
      let number = file.number
      _ = try retryingOnInterrupt { fsync(number) }
    } catch {
      throw ServiceError.system(error, "sync \(path)/\(name)")
    }
  }

  private func syncFileSystem() throws(ServiceError) {
    let number = descriptor.number
    do throws(Errno) {
      _ = try retryingOnInterrupt { syncfs(number) }
    } catch {
      throw ServiceError.system(error, "sync \(path)")
    }
  }

  // MARK: Removing

  /// A file of a blob.
  struct BlobFile {
    var digest: B3Digest
    /// Its length in bytes.
    var size: UInt64
    /// What it takes on the disk, in bytes.
    var bytesOnDisk: UInt64
  }

  /// Shows every blob that has a file. What is not named like one is passed over.
  func forEachFile(
    _ body: (BlobFile) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    for index in 0..<256 {
      let name = BlobFileName.folderName(index)
      let number = openat(
        descriptor.number,
        name,
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
      )
      if number == -1 {
        if errno == ENOENT { continue }
        throw ServiceError.system(.current, "open \(path)/\(name)")
      }
      let folder = OwnedDescriptor(adopting: number)
      let names: [[UInt8]]
      do throws(Errno) {
        names = try FolderListing.names(in: folder)
      } catch {
        throw ServiceError.system(error, "list \(path)/\(name)")
      }
      for bytes in names {
        guard let digest = BlobFileName.digest(ofName: bytes, inFolder: index) else { continue }
        var status = stat()
        let code = BlobFileName.withPath(of: digest) { path in
          fstatat(descriptor.number, path, &status, AT_SYMLINK_NOFOLLOW)
        }
        if code != 0 || status.st_mode & S_IFMT != S_IFREG { continue }
        try body(
          BlobFile(
            digest: digest,
            size: UInt64(clamping: status.st_size),
            bytesOnDisk: UInt64(clamping: status.st_blocks) * 512
          )
        )
      }
    }
  }

  /// Takes a blob's file away.
  ///
  /// - Returns: What it took on the disk, in bytes.
  func remove(_ digest: B3Digest) throws(ServiceError) -> UInt64 {
    var status = stat()
    _ = BlobFileName.withPath(of: digest) { path in
      fstatat(descriptor.number, path, &status, AT_SYMLINK_NOFOLLOW)
    }
    let code = BlobFileName.withPath(of: digest) { unlinkat(descriptor.number, $0, 0) }
    if code != 0 && errno != ENOENT {
      throw ServiceError.system(.current, "remove \(path(of: digest))")
    }
    return UInt64(clamping: status.st_blocks) * 512
  }
}
