public import Castore
public import NixStore

/// What a URL opens.
public struct OpenedServices: Sendable {
  /// Blobs.
  public var blobs: (any BlobService)?
  /// Directories.
  public var directories: (any DirectoryService)?
  /// Root names.
  public var roots: (any RootNodes)?
  /// Path infos.
  public var pathInfos: (any PathInfoService)?

  /// Joins services.
  public init(
    blobs: (any BlobService)? = nil,
    directories: (any DirectoryService)? = nil,
    roots: (any RootNodes)? = nil,
    pathInfos: (any PathInfoService)? = nil
  ) {
    self.blobs = blobs
    self.directories = directories
    self.roots = roots
    self.pathInfos = pathInfos
  }
}

/// The kinds of stores that there are, by the schemes of URLs and the types in composition files.
///
/// Filled by whoever knows them: this module knows of memory and of stores made of stores.
public struct ServiceRegistry: Sendable {
  /// Opens what a URL names.
  public typealias OpenURL = @Sendable (ServiceURL) async throws(ServiceError) -> OpenedServices
  /// Makes a service of the fields of a composition file.
  public typealias Make<Service> =
    @Sendable (inout ServiceFields, CompositionScope) async throws(ServiceError) -> Service
  /// Opens the store that the fields of a composition file name.
  public typealias OpenStore =
    @Sendable (inout ServiceFields) async throws(ServiceError) -> OpenedServices

  // In structs: the compiler (6.3.1) crashes on functions with typed errors as dictionary values.
  private struct Scheme {
    var open: OpenURL
  }
  struct Kind<Service: Sendable>: Sendable {
    var make: Make<Service>
  }

  private var schemes: [String: Scheme] = [:]
  // By kind and type; each is a `Kind` of its kind.
  private var types: [ServiceKey: any Sendable] = [:]

  /// A registry of nothing.
  public init() {}

  /// Says how URLs of a scheme are opened.
  public mutating func addScheme(_ scheme: String, open: @escaping OpenURL) {
    schemes[scheme] = Scheme(open: open)
  }

  /// Says how services of a kind and a type in a composition file are made.
  public mutating func add<Service>(
    _ kind: ServiceKind<Service>,
    type: String,
    make: @escaping Make<Service>
  ) {
    types[ServiceKey(kind, type)] = Kind(make: make)
  }

  /// Says how stores of a type in a composition file are opened, which have services of all kinds.
  public mutating func addStore(type: String, open: @escaping OpenStore) {
    addStore(type, ServiceKinds.blobs, open)
    addStore(type, ServiceKinds.directories, open)
    addStore(type, ServiceKinds.roots, open)
    addStore(type, ServiceKinds.pathInfos, open)
  }

  private mutating func addStore<Service>(
    _ type: String,
    _ kind: ServiceKind<Service>,
    _ open: @escaping OpenStore
  ) {
    add(kind, type: type) { (fields, _) async throws(ServiceError) in
      guard let service = try await open(&fields)[keyPath: kind.place] else {
        throw fields.refusal("is of a type that has no \(kind.tableName)")
      }
      return service
    }
  }

  func type<Service>(_ name: String, of kind: ServiceKind<Service>) -> Kind<Service>? {
    types[ServiceKey(kind, name)] as? Kind<Service>
  }

  func typeNames<Service>(of kind: ServiceKind<Service>) -> [String] {
    types.keys.filter { $0.tableName == kind.tableName }.map(\.name).sorted()
  }

  /// Opens what a URL names.
  public func open(_ url: ServiceURL) async throws(ServiceError) -> OpenedServices {
    guard let scheme = schemes[url.scheme] else {
      throw ServiceError(
        .invalidArgument,
        "\"\(url)\": unknown scheme \"\(url.scheme)\"; expected one of "
          + schemes.keys.sorted().joined(separator: ", ")
      )
    }
    return try await scheme.open(url)
  }

  /// Opens what a URL names.
  public func open(_ text: String) async throws(ServiceError) -> OpenedServices {
    try await open(ServiceURL(text))
  }

  /// Memory and the combinators.
  public static var standard: ServiceRegistry {
    var registry = ServiceRegistry()
    registry.addMemory()
    registry.addCombinators()
    registry.addStandardPathInfos()
    return registry
  }

  private mutating func addMemory() {
    addScheme("memory", open: Self.openMemory)
    addStore(type: "memory") { (_) async throws(ServiceError) in Self.memory }
  }

  private static func openMemory(_ url: ServiceURL) async throws(ServiceError) -> OpenedServices {
    guard url.host.isEmpty, url.port == nil, url.path.isEmpty else {
      throw url.refusal("memory has no host and no path", expected: "memory:")
    }
    _ = try url.parameters([])
    return memory
  }

  private static var memory: OpenedServices {
    OpenedServices(
      blobs: MemoryBlobService(),
      directories: MemoryDirectoryService(),
      roots: MemoryRootNodes(),
      pathInfos: MemoryPathInfoService()
    )
  }

  private static func lruDirectories(
    _ fields: inout ServiceFields,
    _ scope: CompositionScope
  ) async throws(ServiceError) -> any DirectoryService {
    guard let capacity = try fields.integer("capacity"), capacity >= 1 else {
      throw fields.refusal("needs the field capacity, a number of directories of at least 1")
    }
    return LRUDirectoryService(capacity: capacity)
  }

  private mutating func addCombinators() {
    add(ServiceKinds.blobs, type: "cache") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.service(ServiceKinds.blobs, fields.requiredString("near"))
      let far = try await scope.service(ServiceKinds.blobs, fields.requiredString("far"))
      return CachingBlobService(near: near, far: far, writes: .both)
    }
    add(ServiceKinds.blobs, type: "combined") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.service(ServiceKinds.blobs, fields.requiredString("near", "local"))
      let far = try await scope.service(ServiceKinds.blobs, fields.requiredString("far", "remote"))
      return CachingBlobService(near: near, far: far, writes: .near)
    }
    add(ServiceKinds.blobs, type: "readonly") { (fields, scope) async throws(ServiceError) in
      ReadOnlyBlobService(
        try await scope.service(ServiceKinds.blobs, fields.requiredString("inner"))
      )
    }
    add(ServiceKinds.directories, type: "cache") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.service(ServiceKinds.directories, fields.requiredString("near"))
      let far = try await scope.service(ServiceKinds.directories, fields.requiredString("far"))
      return CachingDirectoryService(near: near, far: far)
    }
    add(ServiceKinds.directories, type: "readonly") { (fields, scope) async throws(ServiceError) in
      ReadOnlyDirectoryService(
        try await scope.service(ServiceKinds.directories, fields.requiredString("inner"))
      )
    }
    add(ServiceKinds.directories, type: "lru", make: Self.lruDirectories)
    add(ServiceKinds.roots, type: "cache") { (fields, scope) async throws(ServiceError) in
      let far = try await scope.service(ServiceKinds.roots, fields.requiredString("far"))
      return CachingRootNodes(far: far, file: try fields.requiredString("path"))
    }
  }
}
