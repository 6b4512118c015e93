internal import CLibArchive
internal import Castore
internal import Glibc

/// Reads a tar archive, also a compressed one, entry by entry.
///
/// Uses libarchive, with the tar format and those compressions alone that it handles itself: none that
/// would start another program.
struct TarReader: ~Copyable {
  /// What an entry is.
  enum Kind {
    case file(size: UInt64, isExecutable: Bool)
    case directory
    case symlink(target: [UInt8])
    /// Another name of an entry that came before.
    case hardLink(to: [UInt8])
    case other(String)
  }

  private let archive: OpaquePointer
  private let contents = TarContents()
  // Names are bytes to us; libarchive insists on knowing a character set.
  private let locale: locale_t?
  private let formerLocale: locale_t?
  /// The last entry's path, for messages.
  private(set) var lastPath: [UInt8]?

  /// Starts reading an open file, pipe or socket, which stays open. Stays on the calling thread.
  static func reading(descriptor: CInt) throws(TarIngestionError) -> TarReader {
    guard let archive = archive_read_new() else {
      throw .unreadable("out of memory", after: nil)
    }
    let reader = TarReader(archive)
    try reader.start(descriptor)
    return reader
  }

  private init(_ archive: OpaquePointer) {
    self.archive = archive
    locale = newlocale(Self.characterMask, "C.UTF-8", nil)
    formerLocale = locale.flatMap { uselocale($0) }
    lastPath = nil
  }

  private func start(_ descriptor: CInt) throws(TarIngestionError) {
    for filter in [
      archive_read_support_filter_gzip, archive_read_support_filter_bzip2,
      archive_read_support_filter_xz, archive_read_support_filter_lzma,
      archive_read_support_filter_zstd, archive_read_support_filter_lz4,
      archive_read_support_filter_compress,
    ] {
      // A warning would mean that a program is to be started for it.
      if filter(archive) != ARCHIVE_OK { throw unreadable }
    }
    guard archive_read_support_format_tar(archive) == ARCHIVE_OK,
      archive_read_open_fd(archive, descriptor, 1 << 18) == ARCHIVE_OK
    else { throw unreadable }
  }

  deinit {
    archive_read_free(archive)
    if let locale {
      uselocale(formerLocale)
      freelocale(locale)
    }
  }

  // LC_CTYPE_MASK, which the importer cannot see.
  private static var characterMask: CInt { 1 << CInt(LC_CTYPE) }

  /// Goes on to the next entry; `nil` at the end.
  mutating func next() throws(TarIngestionError) -> (path: [UInt8], kind: Kind)? {
    var entry: OpaquePointer?
    switch archive_read_next_header(archive, &entry) {
    case ARCHIVE_EOF: return nil
    // A name that is not UTF-8 is a warning; the bytes are there all the same.
    case ARCHIVE_OK, ARCHIVE_WARN: break
    default: throw unreadable
    }
    guard let entry, let path = Self.bytes(archive_entry_pathname(entry)) else { throw unreadable }
    lastPath = path
    if let original = Self.bytes(archive_entry_hardlink(entry)) {
      return (path, .hardLink(to: original))
    }
    switch archive_entry_filetype(entry) {
    case S_IFREG:
      guard archive_entry_size_is_set(entry) != 0,
        let size = UInt64(exactly: archive_entry_size(entry))
      else { throw .unreadable("the size is missing or negative", after: escaped(path)) }
      guard let stored = Self.storedBytes(entry, size: size) else {
        throw .unreadable("the map of its holes makes no sense", after: escaped(path))
      }
      contents.begin(size: size, stored: stored)
      return (path, .file(size: size, isExecutable: archive_entry_perm(entry) & 0o100 != 0))
    case S_IFDIR: return (path, .directory)
    case S_IFLNK: return (path, .symlink(target: Self.bytes(archive_entry_symlink(entry)) ?? []))
    case S_IFIFO: return (path, .other("fifo"))
    case S_IFCHR, S_IFBLK: return (path, .other("device"))
    default: return (path, .other("file of an unknown type"))
    }
  }

  /// How many bytes of a file are in the archive: all that are in no hole.
  private static func storedBytes(_ entry: OpaquePointer, size: UInt64) -> UInt64? {
    if archive_entry_sparse_reset(entry) == 0 { return size }
    var sum: UInt64 = 0
    var (offset, length): (la_int64_t, la_int64_t) = (0, 0)
    while archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK {
      guard let length = UInt64(exactly: length), length <= size, sum <= size - length else {
        return nil
      }
      sum += length
    }
    return sum
  }

  /// Reads contents of the current file, holes as zeros.
  ///
  /// By blocks, since libarchive's own reading takes a file that is nothing but a hole for an empty one.
  /// - Returns: How many bytes; 0 only at the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(TarIngestionError) -> Int {
    while true {
      if let count = contents.take(into: buffer) { return count }
      var (start, count, offset): (UnsafeRawPointer?, Int, la_int64_t) = (nil, 0, 0)
      switch archive_read_data_block(archive, &start, &count, &offset) {
      case ARCHIVE_OK:
        let block = UnsafeRawBufferPointer(start: start, count: count)
        if !contents.add(block, at: offset) { throw wrongMap }
      case ARCHIVE_EOF: if !contents.end() { throw wrongMap }
      case ARCHIVE_RETRY: continue
      default: throw unreadable
      }
    }
  }

  private var wrongMap: TarIngestionError {
    .unreadable("its bytes are not where its header says", after: lastPath.map { escaped($0) })
  }

  private var unreadable: TarIngestionError {
    .unreadable(message, after: lastPath.map { escaped($0) })
  }

  private var message: String {
    guard let text = archive_error_string(archive) else { return "unknown error" }
    return escaped(String(cString: text))
  }

  private static func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8]? {
    text.map { UnsafeRawBufferPointer(start: $0, count: strlen($0)) }.map { [UInt8]($0) }
  }
}
