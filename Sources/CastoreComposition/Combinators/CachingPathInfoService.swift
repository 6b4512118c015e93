public import Castore
public import NixCompat
public import NixStore
import Platform

/// Path infos of a far service, kept in a near one once they were read.
///
/// A near service that fails is passed by: it never fails a read. Several readers of one missing path info
/// fetch it once. What was missing on both sides is not looked for again for a short time.
public final class CachingPathInfoService: PathInfoService {
  private let near: any PathInfoService
  private let far: any PathInfoService
  private let missing: NegativeMemory<StorePathDigest>
  // Nothing is kept in it: what several want is fetched once.
  private let fetches = Cache<StorePathDigest, PathInfo>(limit: 0)

  /// Joins two services.
  ///
  /// - Parameter negativeDuration: How long to remember that a path info was missing.
  public init(
    near: any PathInfoService,
    far: any PathInfoService,
    negativeDuration: Duration = .seconds(5)
  ) {
    self.near = near
    self.far = far
    missing = NegativeMemory(negativeDuration)
  }

  /// Reads from the near side, or fetches.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    do throws(ServiceError) {
      if let info = try await near.get(digest) { return info }
    } catch {}
    if missing.isMissing(digest) { return nil }
    do {
      return try await fetches.value(for: digest, weight: { _ in nil }) { [self] in
        guard let info = try await far.get(digest) else {
          missing.remember(digest)
          return nil
        }
        await keep(info)
        return info
      }
    } catch let error as ServiceError {
      throw error
    } catch {
      throw ServiceError(
        .cancelled,
        "fetching the path info of \(digest) was cancelled",
        cause: error
      )
    }
  }

  /// Stores a path info far, and what came of it near as well.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    let stored = try await far.put(info)
    await keep(stored)
    missing.forget(stored.storePath.digest)
    return stored
  }

  /// Lists the far side, which has them all.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    far.list()
  }

  private func keep(_ info: PathInfo) async {
    do throws(ServiceError) { _ = try await near.put(info) } catch {
      // Read again from afar next time.
    }
  }
}
