public import Castore
internal import NixCompat

/// Records in a store what another one says about store paths: only what is true of the trees that came.
public struct PathInfoRecorder: Sendable {
  private let target: any PathInfoService
  private let calculator: any NARCalculator

  /// Records in a service.
  ///
  /// - Parameter calculator: Computes NARs of the trees that the target has.
  public init(in target: any PathInfoService, calculator: any NARCalculator) {
    self.target = target
    self.calculator = calculator
  }

  /// Records a path info whose tree is there. Signatures that are there already stay.
  ///
  /// A source can pair true signatures, which cover the NAR's hash, with another tree. So the hash is computed
  /// of the tree that came.
  ///
  /// - Parameter replace: Whether what is known of the path is replaced where it is about another NAR.
  /// - Throws: `.corrupt` for a tree whose NAR has another size or hash than is stated.
  public func record(_ info: PathInfo, replace: Bool = false) async throws(ServiceError) {
    var info = info
    if let known = try await target.get(info.storePath.digest) {
      if known.storePath == info.storePath, known.fingerprint == info.fingerprint {
        info = info.addingSignatures(of: known)
        // What is there was compared when it was put.
        if info == known { return }
      } else if !replace {
        throw ServiceError(
          .invalidArgument,
          "\(known.storePath.absolutePath) is known with the NAR \(NixHash(known.narHash).sri), and is not "
            + "replaced by \(info.storePath.absolutePath) with \(NixHash(info.narHash).sri)"
        )
      }
    }
    let found = try await calculator.calculateNAR(of: info.node)
    guard found == NARSummary(size: info.narSize, sha256: info.narHash) else {
      throw ServiceError(
        .corrupt,
        "the tree of \(info.storePath.absolutePath) is not the one that is stated: its NAR has \(found.size) "
          + "bytes and the hash \(NixHash(found.sha256).sri), but \(info.narSize) bytes and "
          + "\(NixHash(info.narHash).sri) are stated"
      )
    }
    _ = try await target.put(info)
  }
}

extension PathInfo {
  /// The path info with the signatures that another one of the same NAR has besides.
  func addingSignatures(of other: PathInfo) -> PathInfo {
    var copy = self
    // What was there stays first, so that a repeated copy changes nothing.
    copy.signatures = other.signatures + signatures.filter { !other.signatures.contains($0) }
    return copy
  }
}
