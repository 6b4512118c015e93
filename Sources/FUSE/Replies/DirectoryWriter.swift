internal import Glibc
public import Platform

/// Takes the entries of one directory reply, as many as fit.
public struct DirectoryWriter: ~Copyable, ~Escapable {
  /// True if the client wants attributes (READDIRPLUS). Each entry added with a node then counts one
  /// reference to it, as a lookup does, except for `.` and `..`.
  public let wantsEntries: Bool
  private let memory: UnsafeMutableRawBufferPointer
  private(set) var used = 0
  /// Set when an entry did not fit.
  private(set) var isFull = false

  @_lifetime(immortal)
  init(memory: UnsafeMutableRawBufferPointer, wantsEntries: Bool) {
    self.memory = memory
    self.wantsEntries = wantsEntries
  }

  /// Adds a name without attributes.
  ///
  /// - Parameters:
  ///   - cookie: Where a listing goes on behind this entry: unique in the directory, stable, 1 to
  ///     `Int64.max`.
  /// - Returns: False if it does not fit. Nothing was added then, and nothing more must be.
  @_lifetime(self: copy self)
  public mutating func add(
    _ name: RawSpan,
    inode: InodeNumber,
    type: FileType,
    cookie: UInt64
  ) -> Bool {
    let record = DirectoryRecord(
      inode: inode.rawValue,
      cookie: cookie,
      nameLength: UInt32(clamping: name.byteCount),
      type: type.rawValue
    )
    guard wantsEntries else { return put(prefix: nil, record, name) }
    return put(prefix: EntryOut(), record, name)
  }

  /// Adds a name with its node and attributes; they are left out where the client wants names only.
  ///
  /// - Parameter cookie: See the other `add`.
  /// - Returns: False if it does not fit. Nothing was added then, and nothing more must be.
  @_lifetime(self: copy self)
  public mutating func add(_ name: RawSpan, entry: Entry, cookie: UInt64) -> Bool {
    let record = DirectoryRecord(
      inode: entry.attributes.inode.rawValue,
      cookie: cookie,
      nameLength: UInt32(clamping: name.byteCount),
      type: entry.attributes.type.rawValue
    )
    return put(prefix: wantsEntries ? EntryOut(entry) : nil, record, name)
  }

  /// Adds `.` or `..`, which every listing has to start with.
  @_lifetime(self: copy self)
  public mutating func add(
    _ name: StaticString,
    inode: InodeNumber,
    cookie: UInt64
  ) -> Bool {
    let bytes = UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    return add(bytes.bytes, inode: inode, type: .directory, cookie: cookie)
  }

  @_lifetime(self: copy self)
  private mutating func put(
    prefix: EntryOut?,
    _ record: DirectoryRecord,
    _ name: RawSpan
  ) -> Bool {
    let fixed =
      MemoryLayout<DirectoryRecord>.size + (prefix == nil ? 0 : MemoryLayout<EntryOut>.size)
    // A name that the kernel would refuse (with EIO for the whole listing) never fits.
    guard !isFull, name.byteCount > 0, name.byteCount <= 255 else { return false }
    let padded = (fixed + name.byteCount + 7) & ~7
    guard padded <= memory.count - used else {
      isFull = true
      return false
    }
    let target = UnsafeMutableRawBufferPointer(rebasing: memory[used..<used + padded])
    var position = 0
    if let prefix {
      target.storeBytes(of: prefix, as: EntryOut.self)
      position = MemoryLayout<EntryOut>.size
    }
    target.storeBytes(of: record, toByteOffset: position, as: DirectoryRecord.self)
    position += MemoryLayout<DirectoryRecord>.size
    name.withUnsafeBytes { bytes in
      UnsafeMutableRawBufferPointer(rebasing: target[position...]).copyMemory(from: bytes)
    }
    // Scratch memory is reused: nothing of an older reply may leak into the padding.
    for index in position + name.byteCount..<padded { target[index] = 0 }
    used += padded
    return true
  }

  /// Calls `body` with the node of each entry that was written with one.
  static func forEachNode(in bytes: UnsafeRawBufferPointer, _ body: (NodeID) -> Void) {
    let fixed = MemoryLayout<EntryOut>.size + MemoryLayout<DirectoryRecord>.size
    var position = 0
    while position + fixed <= bytes.count {
      let entry = bytes.loadUnaligned(fromByteOffset: position, as: EntryOut.self)
      let record = bytes.loadUnaligned(
        fromByteOffset: position + MemoryLayout<EntryOut>.size,
        as: DirectoryRecord.self
      )
      body(NodeID(rawValue: entry.node))
      position += (fixed + Int(record.nameLength) + 7) & ~7
    }
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Directory {
  /// True if the client wants attributes with the names (READDIRPLUS).
  public var wantsEntries: Bool { _wantsEntries }

  /// Answers with the entries that `list` adds until one does not fit. None: the end of the listing.
  ///
  /// An error thrown by `list` is the answer if nothing was added; entries that were are sent. If the client
  /// does not get them, the file system's `forget` is called for each in its place.
  public consuming func answer(_ list: (inout DirectoryWriter) throws(Errno) -> Void) {
    let limit = _limit
    let wantsEntries = _wantsEntries
    let port = _takePort()
    port.send(upTo: limit) { memory throws(Errno) in
      var writer = DirectoryWriter(memory: memory, wantsEntries: wantsEntries)
      do throws(Errno) {
        try list(&writer)
      } catch {
        if writer.used == 0 { throw error }
      }
      // Empty would mean the end of the directory.
      if writer.used == 0 && writer.isFull { throw Errno(EINVAL) }
      return writer.used
    } onLoss: { bytes in
      if wantsEntries { DirectoryWriter.forEachNode(in: bytes) { port.giveBack($0) } }
    }
  }
}
