extension BLAKE3 {
  /// Checks pieces of an input against its root digest, with the help of an outboard that nobody vouches
  /// for.
  ///
  /// What was found right once is remembered, in two bits for each 16 KiB: a healthy group is hashed
  /// once (by each of several threads that meet it at the same moment), and so is each parent.
  /// All threads may use one verifier at once; there is no lock.
  ///
  /// What is remembered is about the file that the bytes came from. Bytes that come from somewhere
  /// else, or from a file that was written to since, need a verifier of their own.
  public final class OutboardVerifier: Sendable {
    /// Where something is wrong.
    public enum Flaw: Error, Hashable, Sendable {
      /// The input's bytes are not those that the root digest names, in this group.
      case content(Range<UInt64>)
      /// The outboard's 64 bytes from this offset on are wrong; the input may be whole.
      case outboard(offset: UInt64)
    }

    /// The digest that decides.
    public let digest: Digest
    /// The length of the input in bytes.
    public let size: UInt64

    private let mode: Mode
    private let groupCount: Int
    private let groups: VerifiedBits
    private let parents: VerifiedBits

    private static let groupLength = UInt64(Outboard.groupLength)
    // The lowest parents are read as a whole for these many groups: 4,032 bytes that stand together.
    private static let pageCount = 64
    private typealias Page = InlineArray<504, UInt64>

    /// Begins with nothing verified.
    ///
    /// - Parameters:
    ///   - digest: The digest of the input, from a source that is trusted.
    ///   - size: The length of the input: it needs no trust, a wrong one is found as wrong bytes.
    ///   - mode: The mode of the input.
    /// - Returns: Nothing if there is no memory for so many bits.
    public init?(digest: Digest, size: UInt64, mode: Mode = .hash) {
      let count = Outboard.groupCount(forSize: size)
      guard let groups = VerifiedBits(count: count), let parents = VerifiedBits(count: count)
      else { return nil }
      self.digest = digest
      self.size = size
      self.mode = mode
      groupCount = Int(count)
      self.groups = groups
      self.parents = parents
    }

    /// How long the outboard must be.
    public var outboardByteCount: UInt64 { Outboard.byteCount(forSize: size) }

    /// The groups that hold bytes: what must be read to verify them. Ends at the end of the input.
    public func groups(covering range: Range<UInt64>) -> Range<UInt64> {
      let numbers = groupNumbers(covering: range)
      return bytes(of: numbers)
    }

    /// Whether all groups that hold these bytes were verified already.
    ///
    /// - Complexity: O(groups / 64), no hashing.
    public func isVerified(_ range: Range<UInt64>) -> Bool {
      groups.containsAll(groupNumbers(covering: range))
    }

    /// Verifies groups, those that are not verified yet.
    ///
    /// - Parameters:
    ///   - content: Bytes of the input: whole groups, of which only the input's last is short.
    ///   - offset: Where in the input they begin.
    ///   - readOutboard: Fills a buffer of at most 4,032 bytes with the outboard's bytes from an offset
    ///     on, or throws; asked only for what is needed.
    /// - Returns: What is wrong first, or nothing: then all of `content` is right.
    /// - Complexity: O(bytes) for what is not verified yet, and for each begun MiB of it one path from
    ///   the root; nothing is allocated.
    public func verify<Failure: Error>(
      _ content: UnsafeRawBufferPointer,
      at offset: UInt64,
      readOutboard: (_ offset: UInt64, _ buffer: UnsafeMutableRawBufferPointer) throws(Failure) ->
        Void
    ) throws(Failure) -> Flaw? {
      let (end, overflow) = offset.addingReportingOverflow(UInt64(content.count))
      precondition(
        !overflow && offset % Self.groupLength == 0
          && (end == size || end < size && end % Self.groupLength == 0),
        "what is verified are whole groups of the input"
      )
      // The last group is short or, of an empty input, empty.
      let numbers = groupNumbers(covering: offset..<max(end, offset + (size == 0 ? 1 : 0)))
      if groups.containsAll(numbers) { return nil }
      let run = Run(content: content, numbers: numbers)
      var first = numbers.lowerBound
      while first < numbers.upperBound {
        let page = first / Self.pageCount
        let end = min((page + 1) * Self.pageCount, numbers.upperBound)
        if !groups.containsAll(first..<end) {
          if let flaw = try verify(page: page, first..<end, of: run, readOutboard) { return flaw }
        }
        first = end
      }
      return nil
    }

    /// Verifies groups with an outboard that is in memory.
    ///
    /// As above; an outboard of another length than it must have is a flaw at its end.
    public func verify(
      _ content: UnsafeRawBufferPointer,
      at offset: UInt64,
      outboard: UnsafeRawBufferPointer
    ) -> Flaw? {
      guard UInt64(outboard.count) == outboardByteCount else {
        return .outboard(offset: min(UInt64(outboard.count), outboardByteCount))
      }
      return verify(content, at: offset) { offset, buffer in
        // Within the outboard, whose length was checked.
        let start = Int(offset)
        buffer.copyMemory(
          from: UnsafeRawBufferPointer(rebasing: outboard[start..<start + buffer.count])
        )
      }
    }
  }
}

extension BLAKE3.OutboardVerifier {
  private struct Run {
    let content: UnsafeRawBufferPointer
    let numbers: Range<Int>

    func bytes(of group: Int) -> UnsafeRawBufferPointer {
      let start = (group - numbers.lowerBound) * BLAKE3.Outboard.groupLength
      let length = min(BLAKE3.Outboard.groupLength, content.count - start)
      return UnsafeRawBufferPointer(rebasing: content[start..<start + length])
    }
  }

  // Part of a page's tree; `parent` is the place of its root in the outboard, `page` in the page.
  private struct Subtree {
    var parent: Int
    var first: Int
    var count: Int
    var expected: BLAKE3.Digest

    func left(_ value: BLAKE3.Digest) -> Subtree {
      let left = BLAKE3.Outboard.leftCount(of: count)
      return Subtree(parent: parent + 1, first: first, count: left, expected: value)
    }

    func right(_ value: BLAKE3.Digest) -> Subtree {
      let left = BLAKE3.Outboard.leftCount(of: count)
      return Subtree(
        parent: parent + left,
        first: first + left,
        count: count - left,
        expected: value
      )
    }
  }

  private func groupNumbers(covering range: Range<UInt64>) -> Range<Int> {
    // What lies past the end is not there; an empty input has one group all the same.
    let end = min(range.upperBound, max(size, 1))
    guard range.lowerBound < end else { return 0..<0 }
    return Int(range.lowerBound / Self.groupLength)..<Int((end - 1) / Self.groupLength) + 1
  }

  private func bytes(of numbers: Range<Int>) -> Range<UInt64> {
    let start = min(UInt64(numbers.lowerBound) * Self.groupLength, size)
    // The last group of all may end past 2^64.
    let (end, overflow) = UInt64(numbers.upperBound).multipliedReportingOverflow(
      by: Self.groupLength
    )
    return start..<max(start, overflow ? size : min(end, size))
  }

  private func verify<Failure: Error>(
    page number: Int,
    _ wanted: Range<Int>,
    of run: Run,
    _ readOutboard: (UInt64, UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) -> Flaw? {
    var subtree = Subtree(parent: 0, first: 0, count: groupCount, expected: digest)
    // A tree is cut at powers of two: who goes down to 64 groups or fewer arrives at a page.
    while subtree.count > Self.pageCount {
      var pair = (BLAKE3.Digest.zero, BLAKE3.Digest.zero)
      try withUnsafeMutableBytes(of: &pair) { (buffer) throws(Failure) in
        try readOutboard(offset(of: subtree.parent), buffer)
      }
      if let flaw = check(pair, of: subtree) { return flaw }
      let right = subtree.right(pair.1)
      subtree = wanted.lowerBound < right.first ? subtree.left(pair.0) : right
    }

    var page = Page(repeating: 0)
    let length = (subtree.count - 1) * BLAKE3.Outboard.parentLength
    if length > 0 {
      try withUnsafeMutableBytes(of: &page) { (buffer) throws(Failure) in
        try readOutboard(
          offset(of: subtree.parent),
          UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
        )
      }
    }
    return withUnsafeBytes(of: page) { page in
      verify(subtree, wanted, of: run, page: page, at: subtree.parent)
    }
  }

  private func verify(
    _ subtree: Subtree,
    _ wanted: Range<Int>,
    of run: Run,
    page: UnsafeRawBufferPointer,
    at pageParent: Int
  ) -> Flaw? {
    if subtree.count == 1 { return verify(group: subtree.first, subtree.expected, of: run) }
    let place = (subtree.parent - pageParent) * BLAKE3.Outboard.parentLength
    let pair = page.loadUnaligned(
      fromByteOffset: place,
      as: (BLAKE3.Digest, BLAKE3.Digest).self
    )
    if let flaw = check(pair, of: subtree) { return flaw }
    let right = subtree.right(pair.1)
    if wanted.lowerBound < right.first {
      let left = subtree.left(pair.0)
      if let flaw = verify(left, wanted, of: run, page: page, at: pageParent) { return flaw }
    }
    if wanted.upperBound <= right.first { return nil }
    return verify(right, wanted, of: run, page: page, at: pageParent)
  }

  // A parent is believed only as the one whose hash its own parent, or the digest, tells.
  private func check(
    _ pair: (BLAKE3.Digest, BLAKE3.Digest),
    of subtree: Subtree
  ) -> Flaw? {
    if parents.contains(subtree.parent) { return nil }
    let isRoot = subtree.parent == 0
    let value = BLAKE3.parentCV(pair.0, pair.1, isRoot: isRoot, mode: mode)
    guard value == subtree.expected else {
      return .outboard(offset: offset(of: subtree.parent))
    }
    parents.insert(subtree.parent)
    return nil
  }

  private func verify(group: Int, _ expected: BLAKE3.Digest, of run: Run) -> Flaw? {
    if groups.contains(group) { return nil }
    let content = run.bytes(of: group)
    let value =
      groupCount == 1
      ? BLAKE3.hash(content, mode: mode)
      : BLAKE3.subtreeCV(
        content,
        chunk: UInt64(group) &* BLAKE3.Outboard.groupChunks,
        mode: mode
      )
    guard value == expected else { return .content(bytes(of: group..<group + 1)) }
    groups.insert(group)
    return nil
  }

  private func offset(of parent: Int) -> UInt64 {
    UInt64(parent) * UInt64(BLAKE3.Outboard.parentLength)
  }
}
