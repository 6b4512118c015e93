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
  /// Says how root names of a type in a composition file are made.
  public mutating func addRoots(type: String, make: @escaping MakeRoots) {
    rootTypes[type] = RootType(make: make)
  }

  /// Opens what a URL names.
  public typealias OpenURL = @Sendable (ServiceURL) async throws(ServiceError) -> OpenedServices
  /// Makes a blob service of the fields of a composition file.
  public typealias MakeBlobs =
    @Sendable (inout ServiceFields, CompositionScope) async throws(ServiceError) -> any BlobService
  /// Makes a directory service of the fields of a composition file.
  public typealias MakeDirectories =
    @Sendable (inout ServiceFields, CompositionScope) async throws(ServiceError)
    -> any DirectoryService
  /// Makes root names of the fields of a composition file.
  public typealias MakeRoots =
    @Sendable (inout ServiceFields, CompositionScope) async throws(ServiceError) -> any RootNodes
  /// Makes a path info service of the fields of a composition file.
  public typealias MakePathInfos =
    @Sendable (inout ServiceFields, CompositionScope) async throws(ServiceError)
    -> any PathInfoService

  // In structs: the compiler (6.3.1) crashes on functions with typed errors as dictionary values.
  private struct Scheme {
    var open: OpenURL
  }
  struct BlobType {
    var make: MakeBlobs
  }
  struct DirectoryType {
    var make: MakeDirectories
  }
  struct RootType {
    var make: MakeRoots
  }
  struct PathInfoType {
    var make: MakePathInfos
  }

  private var schemes: [String: Scheme] = [:]
  private(set) var blobTypes: [String: BlobType] = [:]
  private(set) var directoryTypes: [String: DirectoryType] = [:]
  private(set) var rootTypes: [String: RootType] = [:]
  private(set) var pathInfoTypes: [String: PathInfoType] = [:]

  /// A registry of nothing.
  public init() {}

  /// Says how URLs of a scheme are opened.
  public mutating func addScheme(_ scheme: String, open: @escaping OpenURL) {
    schemes[scheme] = Scheme(open: open)
  }

  /// Says how blob services of a type in a composition file are made.
  public mutating func addBlobs(type: String, make: @escaping MakeBlobs) {
    blobTypes[type] = BlobType(make: make)
  }

  /// Says how directory services of a type in a composition file are made.
  public mutating func addDirectories(type: String, make: @escaping MakeDirectories) {
    directoryTypes[type] = DirectoryType(make: make)
  }

  /// Says how path info services of a type in a composition file are made.
  public mutating func addPathInfos(type: String, make: @escaping MakePathInfos) {
    pathInfoTypes[type] = PathInfoType(make: make)
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
    addBlobs(type: "memory", make: Self.memoryBlobs)
    addDirectories(type: "memory", make: Self.memoryDirectories)
    addRoots(type: "memory") { (_, _) async throws(ServiceError) in MemoryRootNodes() }
  }

  private static func openMemory(_ url: ServiceURL) async throws(ServiceError) -> OpenedServices {
    guard url.host.isEmpty, url.port == nil, url.path.isEmpty else {
      throw url.refusal("memory has no host and no path", expected: "memory:")
    }
    _ = try url.parameters([])
    return OpenedServices(
      blobs: MemoryBlobService(),
      directories: MemoryDirectoryService(),
      roots: MemoryRootNodes(),
      pathInfos: MemoryPathInfoService()
    )
  }

  private static func memoryBlobs(
    _ fields: inout ServiceFields,
    _ scope: CompositionScope
  ) async throws(ServiceError) -> any BlobService {
    MemoryBlobService()
  }

  private static func memoryDirectories(
    _ fields: inout ServiceFields,
    _ scope: CompositionScope
  ) async throws(ServiceError) -> any DirectoryService {
    MemoryDirectoryService()
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
    addBlobs(type: "cache") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.blobs(fields.requiredString("near"))
      let far = try await scope.blobs(fields.requiredString("far"))
      return CachingBlobService(near: near, far: far, writes: .both)
    }
    addBlobs(type: "combined") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.blobs(fields.requiredString("near", "local"))
      let far = try await scope.blobs(fields.requiredString("far", "remote"))
      return CachingBlobService(near: near, far: far, writes: .near)
    }
    addBlobs(type: "readonly") { (fields, scope) async throws(ServiceError) in
      ReadOnlyBlobService(try await scope.blobs(fields.requiredString("inner")))
    }
    addDirectories(type: "cache") { (fields, scope) async throws(ServiceError) in
      let near = try await scope.directories(fields.requiredString("near"))
      let far = try await scope.directories(fields.requiredString("far"))
      return CachingDirectoryService(near: near, far: far)
    }
    addDirectories(type: "readonly") { (fields, scope) async throws(ServiceError) in
      ReadOnlyDirectoryService(try await scope.directories(fields.requiredString("inner")))
    }
    addDirectories(type: "lru", make: Self.lruDirectories)
    addRoots(type: "cache") { (fields, scope) async throws(ServiceError) in
      let far = try await scope.roots(fields.requiredString("far"))
      return CachingRootNodes(far: far, file: try fields.requiredString("path"))
    }
  }
}
