internal import Castore

/// A stretch of a NAR that fits into a buffer: which bytes it has, and where they come from.
struct NARStretch: Sendable {
  enum Part {
    /// Bytes of `literals`.
    case literal(Range<Int>)
    /// A part of a blob.
    case contents(NARContents, offset: UInt64, count: Int)
  }

  /// Everything but the contents of files.
  var literals: [UInt8] = []
  var parts: [Part] = []
  /// How many bytes it has.
  var count = 0
  /// Instead of all that: a whole blob, long enough to be worth a file of its own.
  var file: NARContents?
}

/// A blob in a NAR.
struct NARContents {
  var digest: B3Digest
  /// How many bytes it must have.
  var size: UInt64
  /// Where its first byte stands in the NAR.
  var start: UInt64
}

/// Divides a NAR into stretches without looking at blobs. Reads directories, from services at hand.
struct NARPlanner: Sendable {
  /// What a stretch is filled up to; literal bytes may exceed it.
  static let stretchLength = 512 << 10
  /// What is enough for any stretch, and one byte more.
  static let bufferLength = stretchLength + literalLimit + (16 << 10)
  private static let literalLimit = 64 << 10

  private let directories: any LocalDirectoryAccess
  private var walk: NARWalk
  // Blobs from this length on are given as files.
  private let fileThreshold: UInt64
  private var contents: NARContents?
  private var offset: UInt64 = 0
  // What a file's end added, for the next stretch.
  private var leftOver: [UInt8] = []
  private var isAtEnd = false

  init(
    _ node: Node,
    directories: any LocalDirectoryAccess,
    fileThreshold: UInt64 = .max
  ) {
    self.directories = directories
    self.fileThreshold = fileThreshold
    walk = NARWalk(node, outputLimit: Self.literalLimit)
  }

  /// The next stretch; `nil` after the last.
  mutating func next() throws(ServiceError) -> NARStretch? {
    if isAtEnd { return nil }
    var stretch = NARStretch()
    stretch.literals.reserveCapacity(Self.literalLimit)
    stretch.literals = leftOver
    stretch.addLiteral(from: 0)
    leftOver = []
    while stretch.count < Self.stretchLength {
      if contents != nil {
        if try takeFile(into: &stretch) { return stretch }
        try takeContents(into: &stretch)
        continue
      }
      let start = stretch.literals.count
      let step = try walk.next(into: &stretch.literals)
      stretch.addLiteral(from: start)
      switch step {
      case .output: return stretch
      case .contents(let digest, let size):
        contents = NARContents(digest: digest, size: size, start: walk.offset)
        offset = 0
      case .directory(let digest): try enter(digest)
      case .end:
        isAtEnd = true
        return stretch.count > 0 ? stretch : nil
      }
    }
    return stretch
  }

  private mutating func takeFile(into stretch: inout NARStretch) throws(ServiceError) -> Bool {
    guard let contents, contents.size >= fileThreshold, offset == 0 else { return false }
    // What comes before goes first.
    if stretch.count > 0 { return true }
    stretch.file = contents
    self.contents = nil
    try walk.pass(contents.size, into: &leftOver)
    return true
  }

  private mutating func takeContents(into stretch: inout NARStretch) throws(ServiceError) {
    guard let contents else { return }
    let count = Int(min(contents.size - offset, UInt64(Self.stretchLength - stretch.count)))
    stretch.parts.append(.contents(contents, offset: offset, count: count))
    stretch.count += count
    offset += UInt64(count)
    if offset < contents.size { return }
    self.contents = nil
    let start = stretch.literals.count
    try walk.pass(contents.size, into: &stretch.literals)
    stretch.addLiteral(from: start)
  }

  private mutating func enter(_ digest: B3Digest) throws(ServiceError) {
    let directory: DirectoryIndex?
    do throws(ServiceError) {
      directory = try directories.directoryIndexLocal(digest)
    } catch {
      throw walk.missing(error)
    }
    guard let directory else { throw walk.missing(.directoryNotFound(digest)) }
    walk.enter(directory)
  }
}

extension NARStretch {
  /// Takes in what was appended to the literals.
  fileprivate mutating func addLiteral(from start: Int) {
    if start == literals.count { return }
    parts.append(.literal(start..<literals.count))
    count += literals.count - start
  }
}

extension NARWalk {
  /// Notes that all contents of a file were put out.
  mutating func pass(_ size: UInt64, into output: inout [UInt8]) throws(ServiceError) {
    // The encoder counts in what memory can hold at once.
    var rest = size
    while rest > 0 {
      let count = Int(clamping: rest)
      try passContents(count, into: &output)
      rest -= UInt64(count)
    }
  }

  /// A walk that stands at a blob again which another one has passed, for messages that say where.
  static func to(
    _ contents: NARContents,
    in node: Node,
    _ directories: any LocalDirectoryAccess
  ) -> NARWalk {
    var walk = NARWalk(node)
    var output: [UInt8] = []
    // What was there a moment ago is there again, most likely; a message is not worth more.
    while let step = try? walk.next(into: &output) {
      switch step {
      case .output: break
      case .directory(let digest):
        guard let directory = try? directories.directoryIndexLocal(digest) else { return walk }
        walk.enter(directory)
      case .contents(_, let size):
        if walk.offset == contents.start { return walk }
        guard (try? walk.pass(size, into: &output)) != nil else { return walk }
      case .end: return walk
      }
      output.removeAll(keepingCapacity: true)
    }
    return walk
  }
}
