/// The last name seen in each open directory, outermost first.
///
/// One flat array instead of an array per level: nesting costs no allocation per directory and,
/// being data, no stack.
struct NARNameStack: Sendable {
  private var bytes: [UInt8] = []
  private var starts: [Int] = []

  /// How many directories are open.
  var depth: Int { starts.count }

  mutating func enterDirectory() {
    starts.append(bytes.count)
  }

  /// Requires an open directory.
  mutating func leaveDirectory() {
    bytes.removeSubrange(starts.removeLast()...)
  }

  /// Replaces the last name of the innermost directory, which must be open.
  mutating func advance(to name: [UInt8]) throws(NARError.Code) {
    guard Self.isValid(name) else { throw .invalidName(name) }
    let start = starts[starts.count - 1]
    // The empty array, which stands for no name yet, precedes every name.
    guard bytes[start...].lexicographicallyPrecedes(name) else {
      throw .namesOutOfOrder(previous: Array(bytes[start...]), name: name)
    }
    bytes.replaceSubrange(start..., with: name)
  }

  private static func isValid(_ name: [UInt8]) -> Bool {
    let dot = UInt8(ascii: ".")
    return 1...NARLimits.maximumNameLength ~= name.count && name != [dot] && name != [dot, dot]
      && !name.contains { $0 == 0 || $0 == UInt8(ascii: "/") }
  }
}

extension NARError.Code: Error {}

/// Which events may follow which; shared by all that take events.
struct NARGrammar: Sendable {
  private enum Expectation {
    case node
    case entryOrEnd
    case nothing
  }

  private var expectation = Expectation.node
  private var names = NARNameStack()
  private let maximumDepth: Int

  init(maximumDepth: Int) {
    self.maximumDepth = maximumDepth
  }

  /// Whether the tree is whole.
  var isComplete: Bool { expectation == .nothing }

  /// How many directories are open.
  var depth: Int { names.depth }

  /// Takes the next event, or throws and stays as it was.
  mutating func accept(_ event: NAREvent) throws(NARError.Code) {
    switch (expectation, event) {
    case (.node, .file):
      expectation = names.depth == 0 ? .nothing : .entryOrEnd
    case (.node, .symlink(let target)):
      guard Self.isValid(target: target) else { throw .invalidTarget(target) }
      expectation = names.depth == 0 ? .nothing : .entryOrEnd
    case (.node, .directoryStart):
      guard names.depth < maximumDepth else { throw .tooDeep(limit: maximumDepth) }
      names.enterDirectory()
      expectation = .entryOrEnd
    case (.entryOrEnd, .entry(let name)):
      try names.advance(to: name)
      expectation = .node
    case (.entryOrEnd, .directoryEnd):
      names.leaveDirectory()
      expectation = names.depth == 0 ? .nothing : .entryOrEnd
    default:
      throw .eventOutOfPlace(Self.noun(for: event))
    }
  }

  static func isValid(target: [UInt8]) -> Bool {
    1...NARLimits.maximumTargetLength ~= target.count && !target.contains(0)
  }

  private static func noun(for event: NAREvent) -> String {
    switch event {
    case .directoryStart: "a directory"
    case .entry: "an entry"
    case .file: "a file"
    case .symlink: "a symlink"
    case .directoryEnd: "the end of a directory"
    }
  }
}
