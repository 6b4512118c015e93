internal import Castore
internal import NixCompat

/// Goes through a tree in the order of a NAR and writes everything but the contents of files.
///
/// Fetches nothing itself: it says what it needs, so that it serves blocking and asynchronous callers
/// alike. Without recursion; holds the directories on the way.
struct NARWalk {
  /// What the caller has to do next.
  enum Step {
    /// Give the directory to `enter(_:)`.
    case directory(B3Digest)
    /// Put exactly this many bytes of a blob, all that it has, behind what was appended, then call
    /// `passContents`.
    case contents(B3Digest, size: UInt64)
    /// Take what was appended, then go on.
    case output
    /// The NAR is complete.
    case end
  }

  private struct Level {
    var directory: DirectoryIndex
    var next = 0
  }

  private var encoder = NAREncoder()
  private var levels: [Level] = []
  private var node: Node?
  // How much is appended before the caller gets it.
  private let outputLimit: Int

  /// Starts before the first byte.
  init(_ root: Node, outputLimit: Int = 64 << 10) {
    node = root
    self.outputLimit = outputLimit
  }

  /// How many bytes the NAR has so far, contents that were passed included.
  var offset: UInt64 { encoder.offset }

  /// Goes on, and appends to `output`.
  mutating func next(into output: inout [UInt8]) throws(ServiceError) -> Step {
    while true {
      if let node {
        self.node = nil
        if let step = try begin(node, &output) { return step }
      } else if let last = levels.indices.last {
        try goOn(last, &output)
      } else {
        return .end
      }
      if output.count >= outputLimit { return .output }
    }
  }

  /// Takes the directory that `next` asked for.
  mutating func enter(_ directory: DirectoryIndex) {
    levels.append(Level(directory: directory))
  }

  /// Notes that contents were put out, and appends what follows the last of them.
  mutating func passContents(_ count: Int, into output: inout [UInt8]) throws(ServiceError) {
    do throws(NARError) {
      try encoder.passContents(count, into: &output)
    } catch {
      throw ServiceError(.invalidArgument, "cannot render \(path)", cause: error)
    }
  }

  private mutating func begin(
    _ node: Node,
    _ output: inout [UInt8]
  ) throws(ServiceError) -> Step? {
    switch node {
    case .directory(let digest, _):
      try encode(.directoryStart, &output)
      return .directory(digest)
    case .file(let digest, let size, let isExecutable):
      try encode(.file(size: size, isExecutable: isExecutable), &output)
      // Nothing to fetch; that anything else has no bytes must still be found out.
      if size == 0 && digest == Self.emptyDigest { return nil }
      return .contents(digest, size: size)
    case .symlink(let target):
      try encode(.symlink(target: target.bytes), &output)
      return nil
    }
  }

  private mutating func goOn(_ level: Int, _ output: inout [UInt8]) throws(ServiceError) {
    let position = levels[level].next
    let directory = levels[level].directory
    guard position < directory.count else {
      levels.removeLast()
      return try encode(.directoryEnd, &output)
    }
    levels[level].next += 1
    let entry = directory.entry(at: position)
    let name = entry.name.withUnsafeBytes { [UInt8]($0) }
    node = entry.node
    try encode(.entry(name: name), &output)
  }

  private mutating func encode(
    _ event: NAREvent,
    _ output: inout [UInt8]
  ) throws(ServiceError) {
    do throws(NARError) {
      try encoder.encode(event, into: &output)
    } catch {
      throw ServiceError(.invalidArgument, "cannot render \(path)", cause: error)
    }
  }

  private static let emptyDigest = B3Digest(hashing: [])

  // MARK: Errors

  /// Where the walk is, for messages.
  var path: String {
    var path: [UInt8] = []
    for level in levels where level.next > 0 {
      let directory = level.directory
      let name = directory.entry(at: level.next - 1).name.withUnsafeBytes { [UInt8]($0) }
      path += (path.isEmpty ? [] : [UInt8(ascii: "/")]) + name
    }
    return path.isEmpty ? "the root of the tree" : "'\(escaped(path))'"
  }

  /// A directory or blob is missing.
  func missing(_ error: ServiceError) -> ServiceError {
    ServiceError(error.code, "cannot render \(path): \(error.message)", cause: error.cause)
  }

  /// A blob has another length than its node says.
  func wrongLength(_ digest: B3Digest, expected: UInt64, got: String) -> ServiceError {
    ServiceError(
      .corrupt,
      "cannot render \(path): blob \(digest) has \(got), but the tree says \(expected) bytes"
    )
  }
}
