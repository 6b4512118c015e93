public import Castore
public import Platform

/// Blobs of a far service, kept in a near one once they were read.
///
/// A near service that fails is passed by: it never fails a read. Several readers of one missing blob
/// fetch it once; a long one, which they read meanwhile, each part of it once. What was missing on both sides is not looked for again for a short time. A small blob is
/// given out before it is durable near: thousands of them are then made so together.
public final class CachingBlobService: BlobService {
  /// Where new blobs go.
  public enum Writes: Hashable, Sendable {
    /// To the near service only; `combined` of existing projects.
    case near
    /// To the far service, which decides, and to the near one as well.
    case both
  }

  // Up to here a blob is held in memory until it is near.
  private static let memoryLimit: UInt64 = 1 << 20
  /// Up to here a blob is fetched before it is opened; a longer one is read meanwhile.
  public static let wholeLimit: UInt64 = 64 << 20

  private enum Fetched: Sendable {
    case missing
    case isNear
    case bytes([UInt8])
    case isComing
    // Cannot be kept.
    case staysFar
  }

  private let near: any BlobService
  private let far: any BlobService
  private let writes: Writes
  private let missing: NegativeMemory<B3Digest>
  // Nothing is kept in it: what several want is fetched once.
  private let fetches = Cache<B3Digest, Fetched>(limit: 0)
  private let keeping = KeepQueue()
  private let fillings = FillingTable()
  private let wholeLimit: UInt64
  private let folder: String?
  // On their way near.
  private let arriving = Guarded<[B3Digest: [UInt8]]>([:])

  /// Joins two services.
  ///
  /// - Parameters:
  ///   - negativeDuration: How long to remember that a blob was missing.
  ///   - wholeLimit: Up to which length a blob is fetched before it is opened.
  ///   - folder: Where the parts of a long blob lie until all are there; by default where the system keeps
  ///     large temporary files.
  public init(
    near: any BlobService,
    far: any BlobService,
    writes: Writes = .both,
    negativeDuration: Duration = .seconds(5),
    wholeLimit: UInt64 = CachingBlobService.wholeLimit,
    folder: String? = nil
  ) {
    self.wholeLimit = wholeLimit
    self.folder = folder
    self.near = near
    self.far = far
    self.writes = writes
    missing = NegativeMemory(negativeDuration)
  }

  /// Looks on the near side, then on the far one.
  public func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    if await nearHas(digest) { return true }
    if missing.isMissing(digest) { return false }
    if try await far.has(digest) { return true }
    missing.remember(digest)
    return false
  }

  /// Asks the near side, then the far one.
  public func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    do throws(ServiceError) {
      if let chunks = try await near.chunks(of: digest) { return chunks }
    } catch {}
    if missing.isMissing(digest) { return nil }
    if let chunks = try await far.chunks(of: digest) { return chunks }
    missing.remember(digest)
    return nil
  }

  /// Opens the near blob, and fetches it before where it is not there yet.
  public func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    if let reader = await openNear(digest) { return reader }
    if let reader = fillings.reader(of: digest) { return reader }
    if missing.isMissing(digest) { return nil }
    let fetched: Fetched
    do {
      let outcome = try await fetches.value(for: digest, weight: { _ in nil }) { [self] in
        try await fetch(digest)
      }
      fetched = outcome ?? .missing
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(.cancelled, "fetching blob \(digest) was cancelled", cause: error)
    }
    switch fetched {
    case .missing: return nil
    case .bytes(let bytes): return BytesBlobReader(bytes)
    case .isNear:
      if let reader = await openNear(digest) { return reader }
    case .isComing:
      if let reader = fillings.reader(of: digest) { return reader }
      if let reader = await openNear(digest) { return reader }
    case .staysFar: break
    }
    // The near service could not keep it.
    return try await far.openRead(digest)
  }

  /// Starts a blob where `writes` says.
  public func openWrite() async throws(ServiceError) -> any BlobWriter {
    switch writes {
    case .near:
      return NotifyingBlobWriter([try await near.openWrite()]) { [missing] in missing.forget($0) }
    case .both:
      let farWriter = try await far.openWrite()
      var writers = [farWriter]
      do throws(ServiceError) { writers.append(try await near.openWrite()) } catch {}
      return NotifyingBlobWriter(writers) { [missing] in missing.forget($0) }
    }
  }

  private func fetch(_ digest: B3Digest) async throws -> Fetched {
    // Somebody may have finished between the look and the flight.
    if let bytes = arriving.withLock({ $0[digest] }) { return .bytes(bytes) }
    if await nearHas(digest) { return .isNear }
    if fillings.holds(digest) { return .isComing }
    guard let reader = try await far.openRead(digest) else {
      missing.remember(digest)
      return .missing
    }
    guard reader.size <= wholeLimit else { return begin(digest, reader) }
    guard reader.size <= Self.memoryLimit else {
      return try await copyBlob(digest, from: reader, to: near) ? .isNear : .staysFar
    }
    let bytes = try await reader.read(at: 0, count: Int(reader.size))
    guard B3Digest(hashing: bytes) == digest else {
      throw ServiceError(.corrupt, "the bytes of blob \(digest) are those of another")
    }
    arriving.withLock { $0[digest] = bytes }
    await keeping.run { [self] in
      do throws(ServiceError) {
        _ = try await copyBlob(digest, from: BytesBlobReader(bytes), to: near)
      } catch {
        // Read again from afar next time.
      }
      arriving.withLock { $0[digest] = nil }
    }
    return .bytes(bytes)
  }

  private func begin(_ digest: B3Digest, _ reader: any BlobReader) -> Fetched {
    do throws(ServiceError) {
      let filling = try BlobFilling(
        digest,
        far: reader,
        near: near,
        queue: keeping,
        folder: folder,
        onIdle: { [weak fillings] in fillings?.released($0) }
      )
      fillings.add(filling)
      return .isComing
    } catch {
      // There is no room for it.
      return .staysFar
    }
  }

  /// Waits until all that was read is near, or could not be kept.
  public func settle() async {
    await fillings.settle()
    await keeping.settle()
  }

  private func nearHas(_ digest: B3Digest) async -> Bool {
    do throws(ServiceError) { return try await near.has(digest) } catch { return false }
  }

  private func openNear(_ digest: B3Digest) async -> (any BlobReader)? {
    do throws(ServiceError) { return try await near.openRead(digest) } catch { return nil }
  }
}

extension CachingBlobService: LocalBlobAccess {
  /// What is not near may still be far.
  public var isComplete: Bool { false }

  private var local: (any LocalBlobAccess)? { near as? any LocalBlobAccess }

  /// Whether the near service holds it on this machine.
  public func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try local?.holdsLocal(digest) ?? false
  }

  /// The length of a blob that the near service holds on this machine.
  public func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? {
    guard let local else { return nil }
    return try local.sizeLocal(digest)
  }

  /// Lends a blob that the near service has in memory.
  public func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool {
    guard let local else { return false }
    return try local.withBytesLocal(digest, body)
  }

  /// Reads from the near service, where that is on this machine.
  public func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    try local?.readLocal(digest, at: offset, into: buffer)
  }

  /// Lends the near service's file.
  public func withFileLocal(
    _ digest: B3Digest,
    reading range: Range<UInt64>,
    _ body: (LocalFileExtent) -> Void
  ) throws(ServiceError) -> Bool {
    guard let local else { return false }
    return try local.withFileLocal(digest, reading: range, body)
  }

  /// Checks the near service's blob.
  public func verifyLocal(_ digest: B3Digest) throws(ServiceError) -> Bool {
    try local?.verifyLocal(digest) ?? false
  }

  /// Tells the near service.
  public func releaseDescriptors() { local?.releaseDescriptors() }

  /// Opens the near service's file.
  public func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    guard let local else { return nil }
    return try local.openLocalFile(digest)
  }
}

/// Copies a blob, a little at a time.
///
/// - Returns: False where the receiving side failed.
/// - Throws: What the giving side threw, or that it gave other bytes than the digest says.
func copyBlob(
  _ digest: B3Digest,
  from reader: any BlobReader,
  to near: any BlobService
) async throws(ServiceError) -> Bool {
  let writer: any BlobWriter
  do throws(ServiceError) { writer = try await near.openWrite() } catch { return false }
  var offset: UInt64 = 0
  do throws(ServiceError) {
    while offset < reader.size {
      let bytes = try await reader.read(at: offset, count: 1 << 20)
      guard !bytes.isEmpty, !Task.isCancelled else {
        throw bytes.isEmpty
          ? ServiceError(.corrupt, "blob \(digest) ends at \(offset) of \(reader.size) bytes")
          : ServiceError(.cancelled, "fetching blob \(digest) was cancelled")
      }
      offset += UInt64(bytes.count)
      do throws(ServiceError) { try await writer.write(bytes) } catch {
        await writer.abandon()
        return false
      }
    }
  } catch {
    await writer.abandon()
    throw error
  }
  let stored: B3Digest
  do throws(ServiceError) { stored = try await writer.close() } catch { return false }
  guard stored == digest else {
    throw ServiceError(.corrupt, "asked for blob \(digest), got the bytes of \(stored)")
  }
  return true
}
