public import Castore
internal import NixCompat
internal import Platform

/// Computes the size and hash of the NARs of trees.
public protocol NARCalculator: Sendable {
  /// Computes the size and SHA-256 of a tree's NAR.
  ///
  /// - Throws: `.notFound` where a blob or directory of the tree is missing.
  func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary
}

/// Renders NARs to compute their sizes and hashes.
public struct RenderingNARCalculator<
  Blobs: BlobService,
  Directories: DirectoryService
>: NARCalculator {
  private let blobs: Blobs
  private let directories: Directories

  /// Renders from services. Those at hand are read without waiting in tasks.
  public init(blobs: Blobs, directories: Directories) {
    self.blobs = blobs
    self.directories = directories
  }

  /// Renders the tree.
  public func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
    if let blobs = blobs as? any LocalBlobAccess, blobs.isComplete,
      let directories = directories as? any LocalDirectoryAccess
    {
      return try await summarize(node, NARRenderer(blobs: blobs, directories: directories))
    }
    var hasher = SHA256Hasher()
    do {
      try await AsyncNARRenderer(blobs: blobs, directories: directories).render(node) { bytes in
        hasher.update(bytes)
      }
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(.cancelled, "computing a NAR's hash was given up", cause: error)
    }
    return NARSummary(size: hasher.byteCount, sha256: hasher.finalize())
  }

  /// Renders on a thread of its own, until that is done or the task is cancelled.
  private func summarize(
    _ node: Node,
    _ renderer: NARRenderer
  ) async throws(ServiceError) -> NARSummary {
    let isCancelled = Guarded(false)
    let result = await withTaskCancellationHandler {
      do throws(ServiceError) {
        return Result<NARSummary, ServiceError>.success(
          try await onThread(named: "nar-hash") { () throws(ServiceError) in
            var sink = AbandonableSHA256Sink(isAbandoned: isCancelled)
            try renderer.render(node, to: &sink)
            return NARSummary(size: sink.hasher.byteCount, sha256: sink.hasher.finalize())
          }
        )
      } catch {
        return .failure(error)
      }
    } onCancel: {
      isCancelled.withLock { $0 = true }
    }
    if isCancelled.withLock({ $0 }), case .failure = result {
      throw ServiceError(.cancelled, "computing a NAR's hash was given up")
    }
    return try result.get()
  }
}

/// Hashes what is written to it until nobody wants the hash any more.
private struct AbandonableSHA256Sink: ByteSink {
  var hasher = SHA256Hasher()
  let isAbandoned: Guarded<Bool>

  mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
    if isAbandoned.withLock({ $0 }) { throw CancellationError() }
    hasher.update(bytes)
  }
}

/// Remembers what another calculator computed, by node.
public final class CachingNARCalculator<Inner: NARCalculator>: NARCalculator {
  /// Two generations stand for an exact order of use.
  private struct Cache {
    var young: [Node: NARSummary] = [:]
    var old: [Node: NARSummary] = [:]
  }

  private let inner: Inner
  private let limit: Int
  private let cache = Guarded(Cache())

  /// Remembers about `limit` results of a calculator.
  public init(_ inner: Inner, limit: Int = 65_536) {
    self.inner = inner
    self.limit = max(2, limit)
  }

  /// Looks the result up, or has it computed.
  public func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
    let known = cache.withLock { $0.young[node] ?? $0.old[node] }
    if let known { return known }
    let summary = try await inner.calculateNAR(of: node)
    remember(summary, for: node)
    return summary
  }

  /// Takes in what somebody computed elsewhere, as an ingestion does.
  public func remember(_ summary: NARSummary, for node: Node) {
    cache.withLock { cache in
      if cache.young.count >= limit / 2 {
        cache.old = cache.young
        cache.young = [:]
      }
      cache.young[node] = summary
    }
  }
}

/// Runs blocking work on a thread of its own, off the cooperative pool.
func onThread<Value: Sendable>(
  named name: String,
  _ body: @escaping @Sendable () throws(ServiceError) -> Value
) async throws(ServiceError) -> Value {
  let latch = Latch<Result<Value, ServiceError>>()
  do throws(Errno) {
    _ = try NativeThread(name: name) {
      do throws(ServiceError) {
        latch.set(.success(try body()))
      } catch {
        latch.set(.failure(error))
      }
    }
  } catch {
    throw ServiceError(error, "cannot start a thread")
  }
  return try await latch.get().get()
}
