internal import Castore
internal import Glibc
internal import Platform

/// The file `format`: what a store is, as text that a person can read.
///
/// The first line is "castore 2". Each other line is an option: a word, a space, its value. A reader
/// refuses options that it does not know, since they may change what the rest means.
struct StoreFormat: Equatable {
  var options: StoreOptions

  static let name = "format"
  private static let formatWord = "castore"
  private static let version: UInt64 = 2
  private static let longestText = 4096

  var text: String {
    var text = "\(Self.formatWord) \(Self.version)\n"
    if options.access != .owner { text += "access \(options.access.rawValue)\n" }
    return text
  }

  init(options: StoreOptions) {
    self.options = options
  }

  /// Reads the file of a store.
  ///
  /// - Throws: `.invalidArgument` for a folder that is no store, `.unsupported` for another format.
  init(readingFrom root: borrowing OwnedDescriptor, path: String) throws(ServiceError) {
    let bytes: [UInt8]
    do throws(Errno) {
      bytes = try Self.readShortFile(in: root)
    } catch {
      if error.code == ENOENT {
        throw ServiceError(
          .invalidArgument,
          "\(path) is not a castore store: it has no file \"\(Self.name)\""
        )
      }
      throw ServiceError.system(error, "read \(path)/\(Self.name)")
    }
    try self.init(bytes, path: path)
  }

  init(_ bytes: [UInt8], path: String) throws(ServiceError) {
    var lines = bytes.split(separator: UInt8(ascii: "\n")).map { line in
      line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map {
        String(decoding: $0, as: UTF8.self)
      }
    }[...]
    guard let first = lines.popFirst(), first.count == 2, first[0] == Self.formatWord,
      let version = UInt64(first[1])
    else {
      throw ServiceError(
        .invalidArgument,
        """
        \(path) is not a castore store: its file "\(Self.name)" does not begin with \
        "\(Self.formatWord) \(Self.version)"
        """
      )
    }
    if version == 1 {
      throw ServiceError(
        .unsupported,
        "\(path) is a store of format 1, which is no longer read: import what it held into a new store"
      )
    }
    if version != Self.version {
      throw ServiceError(
        .unsupported,
        "\(path) is a store of format \(version); this program knows format \(Self.version)"
      )
    }
    options = StoreOptions()
    for line in lines {
      switch (line.first, line.count) {
      case ("access", 2):
        guard let access = StoreAccess(rawValue: line[1]) else { fallthrough }
        options.access = access
      default:
        throw ServiceError(
          .unsupported,
          "\(path) has an option that this program does not know: \(escaped([UInt8](line.joined(separator: " ").utf8)))"
        )
      }
    }
  }

  private static func readShortFile(
    in root: borrowing OwnedDescriptor
  ) throws(Errno) -> [UInt8] {
    let number = root.number
    let file = OwnedDescriptor(
      adopting: try retryingOnInterrupt {
        openat(number, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      }
    )
    let buffer = HeapBytes(count: longestText)
    let count = try FileIO.read(file.number, at: 0, into: buffer.bytes)
    return [UInt8](buffer.bytes.prefix(count))
  }
}
