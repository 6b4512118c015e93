/// Writes a NAR into byte arrays, event by event, doing no I/O of its own.
///
/// Produces everything but the contents of files, which the caller puts between what `encode` and
/// `passContents` append. The events are checked as strictly as a reader would. An event that
/// throws leaves the encoder as it was.
public struct NAREncoder: Sendable {
  private var grammar: NARGrammar
  private var hasBegun = false
  private var fileSize: UInt64 = 0

  /// How many bytes of contents of the current file are still to come.
  public private(set) var contentsRemaining: UInt64 = 0

  /// How many bytes the NAR has so far, contents that were passed included.
  public private(set) var offset: UInt64 = 0

  /// Starts before the first byte of a NAR.
  public init(maximumDepth: Int = NARLimits.defaultMaximumDepth) {
    grammar = NARGrammar(maximumDepth: maximumDepth)
  }

  /// Whether the NAR has its last byte.
  public var isComplete: Bool { grammar.isComplete && contentsRemaining == 0 }

  /// Appends what comes before the contents of a file, or all that an other event needs.
  public mutating func encode(
    _ event: NAREvent,
    into output: inout [UInt8]
  ) throws(NARError) {
    guard contentsRemaining == 0 else {
      throw NARError(.contentsTooShort(missing: contentsRemaining), offset: offset)
    }
    do {
      try grammar.accept(event)
    } catch {
      throw NARError(error, offset: offset)
    }
    let start = output.count
    if !hasBegun {
      output += Self.beginning
      hasBegun = true
    }
    switch event {
    case .directoryStart:
      output += Self.directory
    case .entry(let name):
      output += Self.entry
      Self.append(name, to: &output)
      output += Self.entryNode
    case .file(let size, let isExecutable):
      output += isExecutable ? Self.executable : Self.regular
      Self.append(size, to: &output)
      (fileSize, contentsRemaining) = (size, size)
      if size == 0 { endNode(&output) }
    case .symlink(let target):
      output += Self.symlink
      Self.append(target, to: &output)
      endNode(&output)
    case .directoryEnd:
      endNode(&output)
    }
    offset += UInt64(output.count - start)
  }

  /// Notes that this many bytes of contents were written, and appends what follows the last of them.
  public mutating func passContents(
    _ count: Int,
    into output: inout [UInt8]
  ) throws(NARError) {
    guard UInt64(count) <= contentsRemaining else {
      throw NARError(.contentsTooLong, offset: offset)
    }
    contentsRemaining -= UInt64(count)
    offset += UInt64(count)
    guard count > 0, contentsRemaining == 0 else { return }
    let start = output.count
    Self.pad(fileSize, &output)
    endNode(&output)
    offset += UInt64(output.count - start)
  }

  /// Makes sure that the NAR is complete.
  public func finish() throws(NARError) {
    guard contentsRemaining == 0 else {
      throw NARError(.contentsTooShort(missing: contentsRemaining), offset: offset)
    }
    guard isComplete else { throw NARError(.unexpectedEnd, offset: offset) }
  }

  /// Closes the node, and the entry that holds it unless it is the root.
  private func endNode(_ output: inout [UInt8]) {
    output += grammar.isComplete ? Self.rootEnd : Self.entryEnd
  }

  private static let beginning = words("nix-archive-1", "(", "type")
  private static let directory = words("directory")
  private static let entry = words("entry", "(", "name")
  private static let entryNode = words("node", "(", "type")
  private static let regular = words("regular", "contents")
  private static let executable = words("regular", "executable", "", "contents")
  private static let symlink = words("symlink", "target")
  private static let rootEnd = words(")")
  private static let entryEnd = words(")", ")")

  private static func words(_ words: String...) -> [UInt8] {
    var output: [UInt8] = []
    for word in words { append(Array(word.utf8), to: &output) }
    return output
  }

  private static func append(_ string: [UInt8], to output: inout [UInt8]) {
    append(UInt64(string.count), to: &output)
    output += string
    pad(UInt64(string.count), &output)
  }

  private static func append(_ number: UInt64, to output: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { output.append(contentsOf: $0) }
  }

  private static func pad(_ length: UInt64, _ output: inout [UInt8]) {
    for _ in 0..<((8 - length % 8) % 8) { output.append(0) }
  }
}
