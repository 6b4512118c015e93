public import NixCompat

/// Finds which of some store paths a stream of bytes mentions: by the 32 characters of their hashes,
/// wherever they stand.
///
/// Takes the bytes in pieces of any length; a mention may lie across them.
public struct ReferenceScanner: Sendable {
  /// The paths that were found so far.
  public private(set) var found: Set<StorePath> = []

  private static let length = StorePathDigest.textCount

  /// The 32 characters of a hash.
  private struct Text: Hashable {
    let words: SIMD4<UInt64>

    /// Takes 32 bytes.
    init(_ bytes: UnsafeRawPointer) {
      words = bytes.loadUnaligned(as: SIMD4<UInt64>.self)
    }

    /// A number below 65,536 that differs for most texts.
    var filterIndex: Int { Int((words.x &* 0x9E37_79B9_7F4A_7C15) >> 48) }
  }

  private var candidates: [Text: [StorePath]] = [:]
  // Whether there is any candidate with that filter index: nearly all other texts end here.
  private var filter = [Bool](repeating: false, count: 1 << 16)
  // The end of the piece before, shorter than a hash.
  private var tail: [UInt8] = []

  /// Looks for paths.
  public init(for paths: some Sequence<StorePath>) {
    for path in paths {
      let text = Array(path.digest.nixBase32.utf8).withUnsafeBytes { bytes -> Text in
        guard let start = bytes.baseAddress, bytes.count == Self.length else {
          preconditionFailure("a digest has 32 characters")
        }
        return Text(start)
      }
      candidates[text, default: []].append(path)
      filter[text.filterIndex] = true
    }
  }

  /// Looks through more bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    if candidates.isEmpty { return }
    if !tail.isEmpty {
      let joined = tail + bytes.prefix(Self.length - 1)
      joined.withUnsafeBytes { scan($0) }
    }
    scan(bytes)
    // What is left of the piece before still counts where this one is short.
    let rest = tail + bytes.suffix(Self.length - 1)
    tail = Array(
      (bytes.count >= Self.length - 1 ? rest[tail.count...] : rest[...])
        .suffix(Self.length - 1)
    )
  }

  /// Looks through more bytes.
  public mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// Jumps over what cannot be part of a hash: most bytes are never looked at.
  private mutating func scan(_ bytes: UnsafeRawBufferPointer) {
    let length = Self.length
    guard let base = bytes.baseAddress else { return }
    var start = 0
    while start + length <= bytes.count {
      // From the last character backwards: one that is not of the alphabet rules out all places before.
      var position = start + length - 1
      while position >= start && Self.isDigit[Int(bytes[position])] { position -= 1 }
      if position >= start {
        start = position + 1
        continue
      }
      look(base + start)
      start += 1
      // As long as digits follow, each place is one more candidate.
      while start + length <= bytes.count && Self.isDigit[Int(bytes[start + length - 1])] {
        look(base + start)
        start += 1
      }
    }
  }

  // There are 32 bytes from `start` on.
  private mutating func look(_ start: UnsafeRawPointer) {
    let text = Text(start)
    guard filter[text.filterIndex], let paths = candidates[text] else { return }
    found.formUnion(paths)
  }

  /// Whether a byte is a digit of nixbase32.
  private static let isDigit: [Bool] = {
    var table = [Bool](repeating: false, count: 256)
    for byte in "0123456789abcdfghijklmnpqrsvwxyz".utf8 { table[Int(byte)] = true }
    return table
  }()
}

/// A sink that scans what is written to it, and keeps nothing.
public struct ReferenceScanningSink: ByteSink, Sendable {
  /// The scanner that was shown all bytes.
  public private(set) var scanner: ReferenceScanner

  /// Shows a scanner what is written.
  public init(_ scanner: ReferenceScanner) {
    self.scanner = scanner
  }

  /// Scans bytes.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) {
    scanner.update(bytes)
  }
}
