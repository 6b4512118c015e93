import Castore
import Glibc
import NixCompat
import NixStore
import Platform

extension ServiceRegistry {
  /// The combinators for path infos.
  mutating func addStandardPathInfos() {
    add(ServiceKinds.pathInfos, type: "cache") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.service(ServiceKinds.pathInfos, fields.requiredString("near"))
      let far = try await scope.service(ServiceKinds.pathInfos, fields.requiredString("far"))
      return CachingPathInfoService(near: near, far: far)
    }
    add(ServiceKinds.pathInfos, type: "readonly") { (fields, scope) async throws(ServiceError) in
      ReadOnlyPathInfoService(
        try await scope.service(ServiceKinds.pathInfos, fields.requiredString("inner"))
      )
    }
    add(ServiceKinds.pathInfos, type: "lru", make: Self.lruPathInfos)
    // The second is what existing files say.
    for type in ["signing", "keyfile-signing"] {
      add(ServiceKinds.pathInfos, type: type, make: Self.signingPathInfos)
    }
  }

  private static func lruPathInfos(
    _ fields: inout ServiceFields,
    _ scope: CompositionScope
  ) async throws(ServiceError) -> any PathInfoService {
    guard let capacity = try fields.integer("capacity"), capacity >= 1 else {
      throw fields.refusal("needs the field capacity, a number of path infos of at least 1")
    }
    return LRUPathInfoService(capacity: capacity)
  }

  private static func signingPathInfos(
    _ fields: inout ServiceFields,
    _ scope: CompositionScope
  ) async throws(ServiceError) -> any PathInfoService {
    let inner = try await scope.service(ServiceKinds.pathInfos, fields.requiredString("inner"))
    let file = try fields.requiredString("keyfile")
    let text: String
    do throws(Errno) {
      text = try keyText(of: file)
    } catch {
      throw fields.refusal("has the keyfile \"\(file)\", which cannot be read: \(error)")
    }
    do throws(SigningError) {
      return Self.signing(inner, try NixSecretKey(parsing: text))
    } catch {
      throw fields.refusal("has the keyfile \"\(file)\", which holds no secret key: \(error)")
    }
  }

  private static func signing(
    _ inner: some PathInfoService,
    _ key: NixSecretKey
  ) -> any PathInfoService {
    SigningPathInfoService(inner, key: key)
  }

  private static func keyText(of file: String) throws(Errno) -> String {
    let number = Glibc.open(file, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw .current }
    let descriptor = OwnedDescriptor(adopting: number)
    // More than any key file has; what is longer holds none.
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    let count = try retryingOnInterrupt { read(descriptor.number, &bytes, bytes.count) }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
