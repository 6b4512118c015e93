internal import Castore
internal import Glibc
internal import Platform

/// Where things lie in a store's folder, and how the folder comes to be.
///
/// ```
/// format            one line: "castore 1"
/// index/            LMDB environment
/// blobs/ab/<hex>    blobs above the inline limit, mode 0444
/// tmp/              files being written, a folder for each writer
/// ```
enum StoreLayout {
  static let formatName = "format"
  static let indexName = "index"
  static let blobsName = "blobs"
  static let temporaryName = "tmp"

  private static let formatWord = "castore"
  private static let formatVersion: UInt64 = 1
  // A rename source for `format`; also tolerated in the folder of a half-made store.
  private static let formatDraftPrefix = ".format."

  /// Checks that a folder is a store of a format that we know.
  static func check(_ root: borrowing OwnedDescriptor, path: String) throws(ServiceError) {
    let text: [UInt8]
    do throws(Errno) {
      text = try readShortFile(formatName, in: root)
    } catch {
      if error.code == ENOENT {
        throw ServiceError(
          .invalidArgument,
          "\(path) is not a castore store: it has no file \"format\""
        )
      }
      throw ServiceError.system(error, "read \(path)/\(formatName)")
    }
    let words = text.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first.map {
      $0.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    }
    guard let words, words.count == 2, words[0].elementsEqual(formatWord.utf8),
      let version = UInt64(String(decoding: words[1], as: UTF8.self))
    else {
      throw ServiceError(
        .invalidArgument,
        "\(path) is not a castore store: its file \"format\" does not say \"castore 1\""
      )
    }
    if version != formatVersion {
      throw ServiceError(
        .unsupported,
        "\(path) is a store of format \(version); this program knows format \(formatVersion) only"
      )
    }
  }

  /// Says whether a folder has its `format` file.
  static func isStore(_ root: borrowing OwnedDescriptor) -> Bool {
    var status = stat()
    return fstatat(root.number, formatName, &status, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// Makes a folder a store. Any number of processes may do so at once.
  static func create(in root: borrowing OwnedDescriptor, path: String) throws(ServiceError) {
    try refuseForeignEntries(in: root, path: path)
    for name in [indexName, blobsName, temporaryName] {
      if mkdirat(root.number, name, 0o777) != 0 && errno != EEXIST {
        throw ServiceError.system(.current, "create \(path)/\(name)")
      }
    }
    let line = [UInt8]("\(formatWord) \(formatVersion)\n".utf8)
    let draft = "\(formatDraftPrefix)\(getpid()).\(UInt32.random(in: 0 ... .max))"
    do throws(Errno) {
      // The format comes last: a folder that has it has all the rest, durably.
      let file = OwnedDescriptor(
        adopting: try retryingOnInterrupt {
          openat(root.number, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o444)
        }
      )
      let number = file.number
      try line.span.bytes.withUnsafeBytes { (bytes) throws(Errno) in
        try FileIO.writeAll(bytes, to: number, at: 0)
      }
      _ = try retryingOnInterrupt { fsync(file.number) }
      _ = try retryingOnInterrupt { renameat(root.number, draft, root.number, formatName) }
      _ = try retryingOnInterrupt { fsync(root.number) }
    } catch {
      unlinkat(root.number, draft, 0)
      throw ServiceError.system(error, "create \(path)/\(formatName)")
    }
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
    let ours = [formatName, indexName, blobsName, temporaryName]
    for bytes in names {
      let name = String(decoding: bytes, as: UTF8.self)
      if ours.contains(name) || name.hasPrefix(formatDraftPrefix) { continue }
      throw ServiceError(
        .invalidArgument,
        "cannot make a store of \(path): the folder holds other things (\(escaped(bytes)))"
      )
    }
  }

  private static func readShortFile(
    _ name: String,
    in root: borrowing OwnedDescriptor
  ) throws(Errno) -> [UInt8] {
    let number = root.number
    let file = OwnedDescriptor(
      adopting: try retryingOnInterrupt {
        openat(number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      }
    )
    let buffer = HeapBytes(count: 64)
    let count = try FileIO.read(file.number, at: 0, into: buffer.bytes)
    return [UInt8](buffer.bytes.prefix(count))
  }
}
