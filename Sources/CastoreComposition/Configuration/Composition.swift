public import Castore
public import NixStore

/// Makes the services of a composition file, each when it is first needed, and once.
public actor Composition {
  private let file: CompositionFile
  private let registry: ServiceRegistry
  private var blobs: [String: any BlobService] = [:]
  private var directories: [String: any DirectoryService] = [:]
  private var roots: [String: any RootNodes] = [:]
  private var pathInfos: [String: any PathInfoService] = [:]

  /// The names that existing files use for the services that are used from outside.
  public static let entryNames = ["root", "default"]

  /// Reads nothing and opens nothing yet.
  public init(_ file: CompositionFile, registry: ServiceRegistry = .standard) {
    self.file = file
    self.registry = registry
  }

  /// Makes the services that are used from outside: those called `root`, or else `default`.
  public func entry() async throws(ServiceError) -> OpenedServices {
    func entryName(_ services: [String: ServiceFields], _ kind: String) throws(ServiceError)
      -> String?
    {
      if services.isEmpty { return nil }
      if let name = Self.entryNames.first(where: { services[$0] != nil }) { return name }
      throw ServiceError(
        .invalidArgument,
        "the composition has \(kind), but none called root; there are "
          + services.keys.sorted().joined(separator: ", ")
      )
    }
    var opened = OpenedServices()
    if let name = try entryName(file.blobs, "blobservices") {
      opened.blobs = try await makeBlobs(name, path: [])
    }
    if let name = try entryName(file.directories, "directoryservices") {
      opened.directories = try await makeDirectories(name, path: [])
    }
    if let name = try entryName(file.roots, "rootservices") {
      opened.roots = try await makeRoots(name, path: [])
    }
    if let name = try entryName(file.pathInfos, "pathinfoservices") {
      opened.pathInfos = try await makePathInfos(name, path: [])
    }
    return opened
  }

  /// Waits until all that was read through the services is kept, where they keep things. To be called
  /// before the process ends.
  public func settle() async {
    let made: [any Sendable] = Array(blobs.values) + Array(directories.values) + Array(roots.values)
    for case let service as any SettlingService in made { await service.settle() }
  }

  func makeRoots(_ name: String, path: [String]) async throws(ServiceError) -> any RootNodes {
    if let made = roots[name] { return made }
    guard var fields = file.roots[name] else {
      if let opened = try await openURL(name), let service = opened.roots { return service }
      throw missing("rootservices", name, path: path)
    }
    try refuseRecursion(name, path: path)
    guard let type = registry.rootTypes[fields.type] else {
      throw unknownType(fields, registry.rootTypes.keys.sorted())
    }
    let scope = CompositionScope(composition: self, path: path + [name])
    let service = try await making(fields.place) { () async throws(ServiceError) in
      let service = try await type.make(&fields, scope)
      try fields.finish()
      return service
    }
    roots[name] = service
    return service
  }

  func makeBlobs(_ name: String, path: [String]) async throws(ServiceError) -> any BlobService {
    if let made = blobs[name] { return made }
    guard var fields = file.blobs[name] else {
      if let opened = try await openURL(name), let service = opened.blobs { return service }
      throw missing("blobservices", name, path: path)
    }
    try refuseRecursion(name, path: path)
    guard let type = registry.blobTypes[fields.type] else {
      throw unknownType(fields, registry.blobTypes.keys.sorted())
    }
    let scope = CompositionScope(composition: self, path: path + [name])
    let service = try await making(fields.place) { () async throws(ServiceError) in
      let service = try await type.make(&fields, scope)
      try fields.finish()
      return service
    }
    blobs[name] = service
    return service
  }

  func makeDirectories(
    _ name: String,
    path: [String]
  ) async throws(ServiceError) -> any DirectoryService {
    if let made = directories[name] { return made }
    guard var fields = file.directories[name] else {
      if let opened = try await openURL(name), let service = opened.directories { return service }
      throw missing("directoryservices", name, path: path)
    }
    try refuseRecursion(name, path: path)
    guard let type = registry.directoryTypes[fields.type] else {
      throw unknownType(fields, registry.directoryTypes.keys.sorted())
    }
    let scope = CompositionScope(composition: self, path: path + [name])
    let service = try await making(fields.place) { () async throws(ServiceError) in
      let service = try await type.make(&fields, scope)
      try fields.finish()
      return service
    }
    directories[name] = service
    return service
  }

  func makePathInfos(
    _ name: String,
    path: [String]
  ) async throws(ServiceError) -> any PathInfoService {
    if let made = pathInfos[name] { return made }
    guard var fields = file.pathInfos[name] else {
      if let opened = try await openURL(name), let service = opened.pathInfos { return service }
      throw missing("pathinfoservices", name, path: path)
    }
    try refuseRecursion(name, path: path)
    guard let type = registry.pathInfoTypes[fields.type] else {
      throw unknownType(fields, registry.pathInfoTypes.keys.sorted())
    }
    let scope = CompositionScope(composition: self, path: path + [name])
    let service = try await making(fields.place) { () async throws(ServiceError) in
      let service = try await type.make(&fields, scope)
      try fields.finish()
      return service
    }
    pathInfos[name] = service
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

  /// The blob service of a name, or URL.
  public func blobs(_ name: String) async throws(ServiceError) -> any BlobService {
    try await composition.makeBlobs(name, path: path)
  }

  /// The root names of a name, or URL.
  public func roots(_ name: String) async throws(ServiceError) -> any RootNodes {
    try await composition.makeRoots(name, path: path)
  }

  /// The directory service of a name, or URL.
  public func directories(_ name: String) async throws(ServiceError) -> any DirectoryService {
    try await composition.makeDirectories(name, path: path)
  }
  /// The path info service of a name, or URL.
  public func pathInfos(_ name: String) async throws(ServiceError) -> any PathInfoService {
    try await composition.makePathInfos(name, path: path)
  }
}
