public import Castore

/// Stores the trees that tar archives hold.
///
/// Entries may come in any order; directories that are missing are made, and a later entry replaces an
/// earlier one of the same path. Files, directories and links are taken, a hard link as one more copy of
/// what it is a link to, which must have come before; anything else is an error. May be
/// compressed. One that is cut off between two entries looks whole, as it does to tar itself.
public struct TarIngester: Sendable {
  /// How to ingest.
  public struct Options: Sendable {
    /// How the sizes of directories are computed.
    public var sizeRule = DirectorySizeRule.specified
    /// How many entries there may be; they are held in memory until the end.
    public var maximumEntries = 10_000_000
    /// How deep directories may nest.
    public var maximumDepth = 4096
    /// Which part of the archive becomes the tree.
    public var top = Top.single

    /// The defaults.
    public init() {}
  }

  /// Which part of an archive becomes the tree.
  public enum Top: Hashable, Sendable {
    /// Its single entry at the top, or all of it where it has an entry for `.` around everything.
    case single
    /// The same, and all of it also where there are several entries at the top: for a tree whose name
    /// is known.
    case singleOrAll
    /// All of it, without so many components at the start of each path, counted as `tar` counts them: `.` is
    /// one. What has no more than those is left out.
    case all(stripping: Int)
  }

  private let sink: any TreeSink
  private let options: Options

  /// Stores trees in a sink.
  public init(into sink: any TreeSink, options: Options = Options()) {
    self.sink = sink
    self.options = options
  }

  /// Reads an archive from an open file, pipe or socket, which stays open. Blocks.
  ///
  /// What was stored is durable after a `flush` of the sink, which is left to the caller; after an error
  /// nothing refers to it.
  /// - Returns: The root, with its name in the archive, if it has one.
  public func ingest(
    descriptor: CInt
  ) throws(TarIngestionError) -> (name: PathComponent?, node: Node) {
    var reader = try TarReader.reading(descriptor: descriptor)
    var tree = TarTree(entryLimit: options.maximumEntries)
    while let (bytes, kind) = try reader.next() {
      guard let path = try strippedPath(bytes) else { continue }
      switch kind {
      case .directory: try tree.addDirectory(path)
      // A file that was stripped down to nothing.
      case _ where path.components.isEmpty && stripped > 0: continue
      case .symlink(let target):
        try tree.add(path, .symlink(target: try self.target(target, path)))
      case .file(let size, let isExecutable):
        let digest = try store(path, size: size, reader)
        try tree.add(path, .file(digest: digest, size: size, isExecutable: isExecutable))
      case .hardLink(let original):
        guard let original = try strippedPath(original) else {
          throw .danglingLink(path: path.description, to: escaped(original))
        }
        try tree.addLink(path, to: original)
      case .other(let type):
        throw .unsupportedEntry(path: path.description, type: type)
      }
    }
    let sink = sink
    return try tree.finish(options.top, options.sizeRule) { (directory) throws(ServiceError) in
      try sink.putDirectory(directory)
    }
  }

  /// How many components paths lose at their start.
  private var stripped: Int {
    if case .all(let count) = options.top { return max(0, count) }
    return 0
  }

  /// An entry's path in the tree; `nil` for one that is left out.
  private func strippedPath(_ bytes: [UInt8]) throws(TarIngestionError) -> CastorePath? {
    let whole = try path(bytes)
    if stripped == 0 { return whole }
    let components = bytes.split(separator: UInt8(ascii: "/"))
    if components.count < stripped { return nil }
    return try path([UInt8](components.dropFirst(stripped).joined(separator: [UInt8(ascii: "/")])))
  }

  private func path(_ bytes: [UInt8]) throws(TarIngestionError) -> CastorePath {
    let path: CastorePath
    do throws(CastorePathError) {
      path = try CastorePath(hostPath: bytes, resolvingParents: true)
    } catch {
      throw .invalidPath(path: escaped(bytes), error)
    }
    if path.components.count > options.maximumDepth {
      throw .tooDeep(path: path.description, limit: options.maximumDepth)
    }
    return path
  }

  private func target(
    _ bytes: [UInt8],
    _ path: CastorePath
  ) throws(TarIngestionError) -> SymlinkTarget {
    do throws(SymlinkTargetError) {
      return try SymlinkTarget(bytes)
    } catch {
      throw .invalidTarget(path: path.description, error)
    }
  }

  private func store(
    _ path: CastorePath,
    size: UInt64,
    _ reader: borrowing TarReader
  ) throws(TarIngestionError) -> B3Digest {
    if size <= UInt64(sink.inMemoryLimit) { return try storeInMemory(path, Int(size), reader) }
    var failure: TarIngestionError?
    let stored: (digest: B3Digest, size: UInt64)
    do throws(ServiceError) {
      stored = try sink.putBlob(anyLengthReading: { (buffer) throws(ServiceError) in
        do throws(TarIngestionError) {
          return try reader.read(into: buffer)
        } catch {
          failure = error
          throw ServiceError(.cancelled, "the archive cannot be read")
        }
      })
    } catch {
      throw failure ?? .notStored(path: path.description, error)
    }
    if stored.size != size {
      throw .wrongSize(path: path.description, expected: size, got: stored.size)
    }
    return stored.digest
  }

  private func storeInMemory(
    _ path: CastorePath,
    _ size: Int,
    _ reader: borrowing TarReader
  ) throws(TarIngestionError) -> B3Digest {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 1, alignment: 64)
    defer { memory.deallocate() }
    var filled = 0
    while filled <= size {
      let count = try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: memory[filled...]))
      if count == 0 { break }
      filled += count
    }
    if filled != size {
      throw .wrongSize(path: path.description, expected: UInt64(size), got: UInt64(filled))
    }
    do throws(ServiceError) {
      return try sink.putBlob(UnsafeRawBufferPointer(rebasing: memory[..<size]))
    } catch {
      throw .notStored(path: path.description, error)
    }
  }
}
