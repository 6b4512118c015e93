public import Castore

/// Makes the services of a composition file, each when it is first needed, and once.
public actor Composition {
  private let file: CompositionFile
  private let registry: ServiceRegistry
  // By kind and name; each is of its kind.
  private var made: [ServiceKey: any Sendable] = [:]

  /// The names that existing files use for the services that are used from outside.
  public static let entryNames = ["root", "default"]

  /// Reads nothing and opens nothing yet.
  public init(_ file: CompositionFile, registry: ServiceRegistry = .standard) {
    self.file = file
    self.registry = registry
  }

  /// Makes the services that are used from outside: those called `root`, or else `default`.
  public func entry() async throws(ServiceError) -> OpenedServices {
    OpenedServices(
      blobs: try await entry(ServiceKinds.blobs),
      directories: try await entry(ServiceKinds.directories),
      roots: try await entry(ServiceKinds.roots),
      pathInfos: try await entry(ServiceKinds.pathInfos)
    )
  }

  private func entry<Service>(
    _ kind: ServiceKind<Service>
  ) async throws(ServiceError) -> Service? {
    let services = file.services(of: kind)
    if services.isEmpty { return nil }
    guard let name = Self.entryNames.first(where: { services[$0] != nil }) else {
      throw ServiceError(
        .invalidArgument,
        "the composition has \(kind.tableName), but none called root; there are "
          + services.keys.sorted().joined(separator: ", ")
      )
    }
    return try await make(kind, name, path: [])
  }

  /// Waits until all that was read through the services is kept, where they keep things. To be called
  /// before the process ends.
  public func settle() async {
    for case let service as any SettlingService in made.values { await service.settle() }
  }

  func make<Service>(
    _ kind: ServiceKind<Service>,
    _ name: String,
    path: [String]
  ) async throws(ServiceError) -> Service {
    let key = ServiceKey(kind, name)
    if let made = made[key] as? Service { return made }
    guard var fields = file.services(of: kind)[name] else {
      if let opened = try await openURL(name), let service = opened[keyPath: kind.place] {
        return service
      }
      throw missing(kind.tableName, name, path: path)
    }
    try refuseRecursion(name, path: path)
    guard let type = registry.type(fields.type, of: kind) else {
      throw unknownType(fields, registry.typeNames(of: kind))
    }
    let scope = CompositionScope(composition: self, path: path + [name])
    let service = try await making(fields.place) { () async throws(ServiceError) in
      let service = try await type.make(&fields, scope)
      try fields.finish()
      return service
    }
    made[key] = service
    return service
  }

  // A reference may be a URL too; then it is a service of its own.
  private func openURL(_ name: String) async throws(ServiceError) -> OpenedServices? {
    guard name.contains(":") else { return nil }
    return try await registry.open(name)
  }

  private func refuseRecursion(_ name: String, path: [String]) throws(ServiceError) {
    guard path.contains(name) else { return }
    throw ServiceError(
      .invalidArgument,
      "a service must not consist of itself: \((path + [name]).joined(separator: " -> "))"
    )
  }

  private func missing(_ kind: String, _ name: String, path: [String]) -> ServiceError {
    let user = path.last.map { ", which \"\($0)\" refers to" } ?? ""
    return ServiceError(.invalidArgument, "there is no [\(kind).\(name)]\(user)")
  }

  private func unknownType(_ fields: ServiceFields, _ known: [String]) -> ServiceError {
    fields.refusal(
      "has an unknown type \"\(fields.type)\"; expected one of \(known.joined(separator: ", "))"
    )
  }

  // Says what was being made when something beneath failed; errors about the file say so already.
  private func making<Value>(
    _ place: String,
    _ body: () async throws(ServiceError) -> Value
  ) async throws(ServiceError) -> Value {
    do throws(ServiceError) {
      return try await body()
    } catch {
      if error.code == .invalidArgument { throw error }
      throw ServiceError(error.code, "\(place): \(error.message)", cause: error.cause)
    }
  }
}

/// What a service that is being made may refer to.
public struct CompositionScope: Sendable {
  let composition: Composition
  let path: [String]

  /// The service of a kind and a name, or URL.
  public func service<Service>(
    _ kind: ServiceKind<Service>,
    _ name: String
  ) async throws(ServiceError) -> Service {
    try await composition.make(kind, name, path: path)
  }
}
