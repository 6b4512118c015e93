public import Castore
internal import Glibc
public import NixCompat

/// Stores the trees that NARs hold.
///
/// One thread reads and hashes the NAR while the calling one takes it apart and others store its small
/// blobs; memory is bounded by a few buffers and the entries of the directories that are open.
public struct NARIngester: Sendable {
  /// How to ingest.
  public struct Options: Sendable {
    /// How the sizes of directories are computed.
    public var sizeRule = DirectorySizeRule.specified
    /// How deep directories may nest.
    public var maximumDepth = NARLimits.defaultMaximumDepth
    /// How many entries the directories that are open may have together.
    public var maximumOpenEntries = 10_000_000
    /// How many small blobs are stored at once; one for each core by default. More where the store is far.
    public var workers = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    /// Whether the NAR's SHA-256 is computed where nothing is expected of it.
    public var hashes = true

    /// The defaults.
    public init() {}
  }

  /// What somebody said about the NAR before it came. What is `nil` is not compared.
  public struct Expectation: Sendable {
    /// How many bytes it has.
    public var size: UInt64?
    /// Its SHA-256.
    public var sha256: SHA256Digest?
    /// What fixes its contents.
    public var contentAddress: ContentAddress?

    /// Expects what is not `nil`.
    public init(
      size: UInt64? = nil,
      sha256: SHA256Digest? = nil,
      contentAddress: ContentAddress? = nil
    ) {
      self.size = size
      self.sha256 = sha256
      self.contentAddress = contentAddress
    }
  }

  /// What came of a NAR.
  public struct Result: Hashable, Sendable {
    /// The tree.
    public var node: Node
    /// How many bytes the NAR has.
    public var size: UInt64
    /// Its SHA-256; `nil` where nobody wanted it.
    public var sha256: SHA256Digest?
  }

  private let sink: any TreeSink
  private let options: Options

  /// Stores trees in a sink.
  public init(into sink: any TreeSink, options: Options = Options()) {
    self.sink = sink
    self.options = options
  }

  /// Reads a NAR, which must be all that the source holds, and stores its tree. Blocks.
  ///
  /// What was stored is durable after a `flush` of the sink, which is left to the caller; after an error
  /// nothing refers to it.
  /// - Parameters:
  ///   - source: Where the NAR comes from; read on another thread.
  ///   - expectation: What it has to be.
  public func ingest(
    _ source: some ByteSource & Sendable,
    expecting expectation: Expectation = Expectation()
  ) throws(NARIngestionError) -> Result {
    let input = NARInput(source, hashers: NARHashers(expectation, hashes: options.hashes))
    let crew = BlobCrew(sink, workers: options.workers)
    defer {
      input.stop()
      crew.end()
    }
    var reader = NARIngestionReader(input, sink, crew, options, fileHash: expectation.fileHash)
    let node = try reader.run()
    let hashers = input.hashers
    let size = input.byteCount
    if let expected = expectation.size, expected != size {
      throw .wrongSize(expected: expected, got: size)
    }
    try hashers.compare()
    try reader.compareFile(node, expectation.contentAddress)
    return Result(node: node, size: size, sha256: hashers.sha256)
  }
}

extension NARIngester.Expectation {
  /// The hash that the one file of the NAR must have.
  var fileHash: NixHash? {
    switch contentAddress {
    case .text, .flat: contentAddress?.hash
    case .recursive, nil: nil
    }
  }
}

/// The hashes over all bytes of a NAR that somebody wants to know.
struct NARHashers: Sendable {
  private var sha256Hasher: SHA256Hasher?
  private var otherHasher: NixHasher?
  private let expected: SHA256Digest?
  private let expectedOther: NixHash?

  init(_ expectation: NARIngester.Expectation, hashes: Bool) {
    expected = expectation.sha256
    var other: NixHash?
    if case .recursive(let hash) = expectation.contentAddress { other = hash }
    expectedOther = other
    let needsSHA256 = hashes || expected != nil || other?.algorithm == .sha256
    sha256Hasher = needsSHA256 ? SHA256Hasher() : nil
    if let other, other.algorithm != .sha256 { otherHasher = NixHasher(other.algorithm) }
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    sha256Hasher?.update(bytes)
    otherHasher?.update(bytes)
  }

  var sha256: SHA256Digest? { sha256Hasher?.finalize() }

  func compare() throws(NARIngestionError) {
    if let expected, let got = sha256, got != expected {
      throw .wrongHash(of: "NAR", expected: NixHash(expected), got: NixHash(got))
    }
    guard let expectedOther else { return }
    let got = otherHasher?.finalize() ?? sha256.map { NixHash($0) }
    if let got, got != expectedOther {
      throw .wrongHash(of: "NAR", expected: expectedOther, got: got)
    }
  }
}
