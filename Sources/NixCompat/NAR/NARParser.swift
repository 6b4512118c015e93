/// Reads a NAR from bytes that are handed to it in pieces of any size.
///
/// Does no I/O of its own, so that it serves blocking and asynchronous readers alike: `next` takes
/// bytes and gives an event, or asks for more. Holds a partial string of at most 4 KiB and the last
/// name of each open directory, nothing else.
///
/// After an error the parser stays failed and throws the same error again.
public struct NARParser: Sendable {
  private enum State {
    case archive
    case nodeOpen, nodeTypeKey, nodeType
    case fileBody, executableValue, contentsKey, fileSize, contents, contentsPadding
    case targetKey, target
    case entryOrEnd, entryOpen, nameKey, name, nodeKey
    case nodeClose, entryClose
    case done
  }

  private var state = State.archive
  private var isExecutable = false
  private var paddingLength = 0
  private var names = NARNameStack()
  // The beginning of a token that the piece before did not hold whole.
  private var partial: [UInt8] = []
  private var failure: NARError?
  private var tokenOffset: UInt64 = 0
  private let maximumDepth: Int

  /// How many bytes of contents of the current file are still to come.
  public private(set) var contentsRemaining: UInt64 = 0

  /// Starts before the first byte of a NAR.
  public init(maximumDepth: Int = NARLimits.defaultMaximumDepth) {
    self.maximumDepth = maximumDepth
  }

  /// How many bytes of the NAR were taken so far. Right after a `file` event this is where the
  /// contents begin.
  public var offset: UInt64 { tokenOffset + UInt64(partial.count) }

  /// Whether the last byte of the NAR was taken.
  public var isComplete: Bool { state == .done }

  /// Takes bytes up to the end of the next event.
  ///
  /// Contents of a file that were not taken with `passContents` are skipped.
  ///
  /// - Parameters:
  ///   - input: A piece of the NAR.
  ///   - position: Where to go on in `input`; moved past what was taken.
  /// - Returns: `nil` if `input` was used up, or the NAR is complete.
  /// - Throws: `trailingData` if the NAR is complete and bytes remain.
  public mutating func next(
    in input: RawSpan,
    from position: inout Int
  ) throws(NARError) -> NAREvent? {
    if let failure { throw failure }
    do {
      return try parse(input, from: &position)
    } catch {
      failure = error
      throw error
    }
  }

  /// Notes that the caller took this many bytes of contents.
  ///
  /// - Parameter count: At most `contentsRemaining`.
  public mutating func passContents(_ count: Int) {
    precondition(
      count >= 0 && UInt64(count) <= contentsRemaining,
      "only contents of the current file are passed"
    )
    contentsRemaining -= UInt64(count)
    tokenOffset += UInt64(count)
  }

  /// Notes that no more bytes come.
  ///
  /// - Throws: `unexpectedEnd` unless the NAR is complete, or the error it failed with.
  public mutating func finish() throws(NARError) {
    if failure == nil, !isComplete { failure = NARError(.unexpectedEnd, offset: offset) }
    if let failure { throw failure }
  }

  private mutating func parse(
    _ input: RawSpan,
    from position: inout Int
  ) throws(NARError) -> NAREvent? {
    while position < input.byteCount {
      let available = input.extracting(position...)
      switch state {
      case .done:
        throw NARError(.trailingData, offset: offset)
      case .contents:
        let count = Int(min(contentsRemaining, UInt64(available.byteCount)))
        passContents(count)
        position += count
        endContentsIfPassed()
      default:
        if let event = try parseToken(available, position: &position) { return event }
      }
    }
    endContentsIfPassed()
    return nil
  }

  private mutating func endContentsIfPassed() {
    guard state == .contents, contentsRemaining == 0 else { return }
    state = paddingLength == 0 ? .nodeClose : .contentsPadding
  }

  /// Takes one token, from the piece itself if it holds all of it.
  private mutating func parseToken(
    _ available: RawSpan,
    position: inout Int
  ) throws(NARError) -> NAREvent? {
    if partial.isEmpty {
      let length = try tokenLength(beginningWith: available)
      if length <= available.byteCount {
        let event = try accept(available.extracting(..<length))
        position += length
        tokenOffset += UInt64(length)
        return event
      }
    }
    var taken = 0
    while true {
      // Known only in part before the length field is there, so asked again after each append.
      let length = try tokenLength(beginningWith: partial.span.bytes)
      if partial.count == length { break }
      guard taken < available.byteCount else {
        position += taken
        return nil
      }
      let count = min(length - partial.count, available.byteCount - taken)
      available.extracting(taken..<(taken + count)).withUnsafeBytes {
        partial.append(contentsOf: $0)
      }
      taken += count
    }
    position += taken
    // Swapped out and in again: neither borrowed while `accept` changes the parser, nor shared.
    var token: [UInt8] = []
    swap(&token, &partial)
    let event = try accept(token.span.bytes)
    tokenOffset += UInt64(token.count)
    token.removeAll(keepingCapacity: true)
    swap(&token, &partial)
    return event
  }

  /// How long the token is that begins with these bytes, as far as they tell.
  private func tokenLength(beginningWith bytes: RawSpan) throws(NARError) -> Int {
    switch state {
    case .contentsPadding: return paddingLength
    case .fileSize: return 8
    default: break
    }
    guard bytes.byteCount >= 8 else { return 8 }
    let length = bytes.integer(at: 0)
    guard length <= UInt64(maximumLength) else {
      throw NARError(.stringTooLong(expected: expected, length: length), offset: tokenOffset)
    }
    return 8 + (Int(length) + 7) & ~7
  }

  /// The longest string that may stand here; keeps `partial` small.
  private var maximumLength: Int {
    switch state {
    case .name: NARLimits.maximumNameLength
    case .target: NARLimits.maximumTargetLength
    default: NARWord.maximumLength
    }
  }

  /// What may stand here, for messages.
  private var expected: String {
    switch state {
    case .name: "a name of at most \(NARLimits.maximumNameLength) bytes"
    case .target: "a symlink target of at most \(NARLimits.maximumTargetLength) bytes"
    default: expectedWords.map { "\"\($0.text)\"" }.joined(separator: " or ")
    }
  }

  private var expectedWords: [NARWord] {
    switch state {
    case .archive: [.archive]
    case .nodeOpen, .entryOpen: [.open]
    case .nodeTypeKey: [.type]
    case .nodeType: [.regular, .symlink, .directory]
    case .fileBody: [.contents, .executable]
    case .executableValue: [.empty]
    case .contentsKey: [.contents]
    case .targetKey: [.target]
    case .entryOrEnd: [.entry, .close]
    case .nameKey: [.name]
    case .nodeKey: [.node]
    case .nodeClose, .entryClose: [.close]
    case .fileSize, .contents, .contentsPadding, .target, .name, .done: []
    }
  }
}

// MARK: - The grammar

extension NARParser {
  /// Takes a whole token and goes on to the next state.
  private mutating func accept(_ token: RawSpan) throws(NARError) -> NAREvent? {
    switch state {
    case .archive: try take(.archive, token, then: .nodeOpen)
    case .nodeOpen: try take(.open, token, then: .nodeTypeKey)
    case .nodeTypeKey: try take(.type, token, then: .nodeType)
    case .nodeType:
      if NARWord.regular.matches(token) {
        isExecutable = false
        state = .fileBody
      } else if NARWord.symlink.matches(token) {
        state = .targetKey
      } else {
        try take(.directory, token, then: .entryOrEnd)
        guard names.depth < maximumDepth else {
          throw NARError(.tooDeep(limit: maximumDepth), offset: tokenOffset)
        }
        names.enterDirectory()
        return .directoryStart
      }
    case .fileBody:
      if NARWord.executable.matches(token) {
        isExecutable = true
        state = .executableValue
      } else {
        try take(.contents, token, then: .fileSize)
      }
    case .executableValue: try take(.empty, token, then: .contentsKey)
    case .contentsKey: try take(.contents, token, then: .fileSize)
    case .fileSize:
      let size = token.integer(at: 0)
      contentsRemaining = size
      paddingLength = Int((8 - size % 8) % 8)
      state = size == 0 ? .nodeClose : .contents
      return .file(size: size, isExecutable: isExecutable)
    case .contentsPadding:
      try checkZero(token, from: 0)
      state = .nodeClose
    case .targetKey: try take(.target, token, then: .target)
    case .target:
      let target = try string(token)
      guard NARGrammar.isValid(target: target) else {
        throw NARError(.invalidTarget(target), offset: tokenOffset)
      }
      state = .nodeClose
      return .symlink(target: target)
    case .entryOrEnd:
      guard NARWord.entry.matches(token) else {
        try take(.close, token, then: .entryClose)
        names.leaveDirectory()
        endNode()
        return .directoryEnd
      }
      state = .entryOpen
    case .entryOpen: try take(.open, token, then: .nameKey)
    case .nameKey: try take(.name, token, then: .name)
    case .name:
      let name = try string(token)
      do {
        try names.advance(to: name)
      } catch {
        throw NARError(error, offset: tokenOffset)
      }
      state = .nodeKey
      return .entry(name: name)
    case .nodeKey: try take(.node, token, then: .nodeOpen)
    case .nodeClose:
      try take(.close, token, then: .entryClose)
      endNode()
    case .entryClose: try take(.close, token, then: .entryOrEnd)
    case .contents, .done: preconditionFailure("neither contents nor the end are tokens")
    }
    return nil
  }

  /// The root ends the NAR, any other node its entry.
  private mutating func endNode() {
    state = names.depth == 0 ? .done : .entryClose
  }

  private mutating func take(
    _ word: NARWord,
    _ token: RawSpan,
    then next: State
  ) throws(NARError) {
    guard word.matches(token) else {
      let found = try string(token)
      throw NARError(.unexpectedWord(expected: expected, found: found), offset: tokenOffset)
    }
    state = next
  }

  /// The bytes of a string, once its padding is known to be zero.
  private func string(_ token: RawSpan) throws(NARError) -> [UInt8] {
    let end = 8 + Int(token.integer(at: 0))
    try checkZero(token, from: end)
    return token.extracting(8..<end).withUnsafeBytes { Array($0) }
  }

  private func checkZero(_ token: RawSpan, from start: Int) throws(NARError) {
    for position in start..<token.byteCount where token.byte(at: position) != 0 {
      throw NARError(.nonzeroPadding, offset: tokenOffset + UInt64(position))
    }
  }
}
