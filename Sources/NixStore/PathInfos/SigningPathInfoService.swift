public import Castore
public import NixCompat

/// Signs what is put into another service.
///
/// A signature of the key that is there and valid is kept; one that is not valid gives way.
public struct SigningPathInfoService<Inner: PathInfoService>: PathInfoService {
  private let inner: Inner
  private let key: NixSecretKey

  /// Signs with a key what goes into a service.
  public init(_ inner: Inner, key: NixSecretKey) {
    self.inner = inner
    self.key = key
  }

  /// Asks the service.
  public func get(_ digest: StorePathDigest) async throws(ServiceError) -> PathInfo? {
    try await inner.get(digest)
  }

  /// Signs and stores a path info.
  public func put(_ info: PathInfo) async throws(ServiceError) -> PathInfo {
    try await inner.put(info.signed(with: key))
  }

  /// Asks the service.
  public func list() -> AsyncThrowingStream<PathInfo, any Error> {
    inner.list()
  }
}

extension SigningPathInfoService: LocalPathInfoAccess where Inner: LocalPathInfoAccess {
  /// Asks the service.
  public func pathInfoLocal(_ digest: StorePathDigest) throws(ServiceError) -> PathInfo? {
    try inner.pathInfoLocal(digest)
  }

  /// Asks the service.
  public func pathInfosVersion() throws(ServiceError) -> UInt64 {
    try inner.pathInfosVersion()
  }
}

extension PathInfo {
  /// The path info with exactly one signature of the key, a valid one.
  public func signed(with key: NixSecretKey) throws(ServiceError) -> PathInfo {
    let message = [UInt8](fingerprint.utf8)
    let name = key.publicKey.name
    if signatures.contains(where: { key.publicKey.isValid($0, of: message) }) { return self }
    var copy = self
    copy.signatures.removeAll { $0.keyName == name }
    do throws(SigningError) {
      copy.signatures.append(try key.sign(message))
    } catch {
      throw ServiceError(.invalidArgument, "cannot sign \(storePath) with \(name)", cause: error)
    }
    return copy
  }
}
