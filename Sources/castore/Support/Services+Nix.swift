import Castore
import CastoreComposition
import NixCompat
import NixStore
import Platform

extension Services {
  /// What stands at the top of a mount: named roots and store paths.
  var topNodes: any RootNodes {
    if let local { return local.namedRootsAndStorePaths }
    return OfferedRootNodes([roots, storePaths])
  }

  /// Who computes NARs' sizes and hashes: the store itself where it is elsewhere, so that what it has need
  /// not be fetched.
  var calculator: any NARCalculator {
    let rendering = Self.rendering(blobs, directories)
    // What was kept of a store elsewhere may be all there is to reach.
    if blobs is any LocalBlobAccess { return rendering }
    guard let remote = pathInfos as? any NARCalculator else { return rendering }
    return AssistedNARCalculator(first: remote, second: rendering)
  }

  /// The calculator, which computes each NAR once.
  var rememberingCalculator: any NARCalculator {
    func remembering(_ calculator: some NARCalculator) -> any NARCalculator {
      CachingNARCalculator(calculator)
    }
    return remembering(calculator)
  }

  /// Hands a tree's NAR to `write` piece by piece.
  func renderNAR(_ node: Node, write: ([UInt8]) throws -> Void) async throws {
    try await Self.render(node, blobs, directories, write)
  }

  private static func rendering(
    _ blobs: some BlobService,
    _ directories: some DirectoryService
  ) -> any NARCalculator {
    RenderingNARCalculator(blobs: blobs, directories: directories)
  }

  private static func render(
    _ node: Node,
    _ blobs: some BlobService,
    _ directories: some DirectoryService,
    _ write: ([UInt8]) throws -> Void
  ) async throws {
    try await AsyncNARRenderer(blobs: blobs, directories: directories).render(node) { bytes in
      try write(bytes)
    }
  }

  /// What is known about a name on the command line, if it is a store path and no named root.
  func pathInfo(named path: StorePath) async throws -> PathInfo? {
    guard path.components.isEmpty,
      let storePath = try? NixCompat.StorePath(baseName: path.root.bytes)
    else { return nil }
    do {
      if try await roots.node(named: path.root) != nil { return nil }
      return try await pathInfo(storePath)
    } catch let error as ServiceError where error.code == .unsupported {
      // Other servers know only one of both; what is nowhere is said when it is looked up.
      return try? await pathInfo(storePath)
    }
  }

  /// A store path with all that it refers to, each after its own references.
  func closure(of root: PathInfo) async throws -> [PathInfo] {
    var ordered: [PathInfo] = []
    var seen: Set<NixCompat.StorePath> = [root.storePath]
    // Depth first, without recursion: where each open one is in its references.
    var open: [(info: PathInfo, next: Int)] = [(root, 0)]
    while let (info, next) = open.last {
      guard next < info.references.count else {
        open.removeLast()
        ordered.append(info)
        continue
      }
      open[open.count - 1].next += 1
      let reference = info.references[next]
      guard seen.insert(reference).inserted else { continue }
      guard let found = try await pathInfo(reference) else {
        throw CommandError(
          "\(info.storePath.absolutePath) refers to \(reference.absolutePath), "
            + "which is not in \(name)"
        )
      }
      open.append((found, 0))
    }
    return ordered
  }

  /// What is known about a store path, by its whole name.
  func pathInfo(_ path: NixCompat.StorePath) async throws -> PathInfo? {
    let info = try await pathInfos.get(path.digest)
    return info?.storePath == path ? info : nil
  }
}

/// Stands for path infos that the options do not name.
struct MissingPathInfos: PathInfoService {
  let name: String

  private var missing: ServiceError {
    ServiceError(.unsupported, "\(name) has no path infos; see --path-info-service")
  }

  func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? { throw missing }

  func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo { throw missing }

  func list() -> AsyncThrowingStream<PathInfo, any Error> {
    let missing = missing
    return AsyncThrowingStream { throw missing }
  }
}

/// Asks one calculator, and another where the first one is a server that computes nothing.
private struct AssistedNARCalculator: NARCalculator {
  let first: any NARCalculator
  let second: any NARCalculator

  func calculateNAR(of node: Node) async throws(ServiceError) -> NARSummary {
    do throws(ServiceError) {
      return try await first.calculateNAR(of: node)
    } catch {
      guard error.code == .unsupported else { throw error }
      return try await second.calculateNAR(of: node)
    }
  }
}
