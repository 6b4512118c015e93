internal import CLinux
internal import Castore
internal import Glibc
internal import Platform

/// Makes batches durable: files first, then their names, then the index.
///
/// A crash in between leaves files that nobody knows of, never an index entry without its file. The
/// next import of the same blob renames over such a file.
struct BatchCommitter: Sendable {
  let core: StoreCore
  let folder: TemporaryFolder

  /// Up to so many files are synced one by one; beyond, syncing the whole file system costs less.
  private static let singleSyncLimit = 8

  func commit(_ batch: WriteBatch) throws(ServiceError) {
    if !batch.files.isEmpty { try commitFiles(batch.files) }
    batch.sort()
    defer { core.index.releasePages() }
    try core.index.write { (writer) throws(ServiceError) in
      for (number, item) in batch.items.enumerated() {
        if number % 256 == 255 { core.index.releasePages() }
        let bytes = UnsafeRawBufferPointer(batch.bytes(item.range))
        try item.digest.withUnsafeBytes { (key) throws(ServiceError) in
          _ = try writer.add(item.table, key, count: bytes.count) { $0.copyMemory(from: bytes) }
        }
      }
      for file in batch.files {
        try file.digest.withUnsafeBytes { (key) throws(ServiceError) in
          _ = try writer.add(.blobs, key, count: BlobRecord.fileRecordCount) { value in
            value[0] = BlobRecord.fileTag
            value.storeBytes(of: file.size.littleEndian, toByteOffset: 1, as: UInt64.self)
          }
        }
        try StoreCore.withSizeKey(file.size) { (key) throws(ServiceError) in
          _ = try writer.add(.largeSizes, key, count: 0) { _ in }
        }
      }
    }
  }

  private func commitFiles(_ files: [WriteBatch.File]) throws(ServiceError) {
    if files.count <= Self.singleSyncLimit {
      for file in files { try sync(folder.descriptor, file.name, folder.path) }
    } else {
      try syncFileSystem()
    }
    var touched: Set<Int> = []
    for file in files {
      let index = BlobFileName.folderIndex(of: file.digest)
      if touched.insert(index).inserted {
        let name = BlobFileName.folderName(index)
        if mkdirat(core.blobs.number, name, 0o777) != 0 && errno != EEXIST {
          throw ServiceError.system(
            .current,
            "create \(core.path)/\(StoreLayout.blobsName)/\(name)"
          )
        }
      }
      let code = BlobFileName.withPath(of: file.digest) { path in
        renameat(folder.descriptor.number, file.name, core.blobs.number, path)
      }
      if code != 0 {
        throw ServiceError.system(
          .current,
          "rename \(folder.path)/\(file.name) to \(core.blobPath(file.digest))"
        )
      }
    }
    // A rename alone may be lost: the folders must be durable before the index speaks of the files.
    let blobsPath = "\(core.path)/\(StoreLayout.blobsName)"
    if touched.count > Self.singleSyncLimit {
      try syncFileSystem()
    } else {
      for index in touched { try sync(core.blobs, BlobFileName.folderName(index), blobsPath) }
      // Always: a folder that was there may be another writer's, made but not synced yet.
      try sync(core.blobs, ".", blobsPath)
    }
  }

  private func sync(
    _ parent: borrowing OwnedDescriptor,
    _ name: String,
    _ path: String
  ) throws(ServiceError) {
    let parent = parent.number
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
    let number = core.blobs.number
    do throws(Errno) {
      _ = try retryingOnInterrupt { syncfs(number) }
    } catch {
      throw ServiceError.system(error, "sync \(core.path)/\(StoreLayout.blobsName)")
    }
  }
}
