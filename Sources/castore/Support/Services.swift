import Castore
import CastoreComposition
import CastoreStorage
import FileTree
import NixStore

/// What a command works on, wherever it is.
struct Services: Sendable {
  var blobs: any BlobService
  var directories: any DirectoryService
  var roots: any RootNodes
  var pathInfos: any PathInfoService
  /// The store that these are the services of, where it is on this machine.
  var local: LocalStore?
  /// The store on this machine that they consist of or are kept in, where there is exactly one.
  var near: LocalStore?
  /// Store paths of a store elsewhere, which are still known while it cannot be reached.
  private var knownStorePaths: (any RootNodes)?
  /// For messages.
  var name: String
  /// What is to be done before the process ends.
  var onSettle: [@Sendable () async -> Void] = []

  enum Kind {
    case blobs, directories, roots, pathInfos
  }

  /// No services yet.
  init(name: String) {
    let missing = MissingServices(name: name)
    (blobs, directories, roots) = (missing, missing, missing)
    pathInfos = MissingPathInfos(name: name)
    self.name = name
  }

  init(_ opened: OpenedServices, name: String) {
    self.init(name: name)
    if let blobs = opened.blobs { self.blobs = blobs }
    if let directories = opened.directories { self.directories = directories }
    if let roots = opened.roots { self.roots = roots }
    if let pathInfos = opened.pathInfos { self.pathInfos = pathInfos }
  }

  init(_ store: LocalStore, name: String) {
    (blobs, directories, roots) = (store, store, store)
    pathInfos = store.pathInfos
    (local, near) = (store, store)
    self.name = store.path
  }

  mutating func replace(_ opened: OpenedServices, only kind: Kind, named url: String) {
    let other = Services(opened, name: url)
    local = nil
    switch kind {
    case .blobs: blobs = other.blobs
    case .directories: directories = other.directories
    case .roots: roots = other.roots
    case .pathInfos: pathInfos = other.pathInfos
    }
  }

  /// The services, with what is read kept in a local store.
  func cached(in url: String, _ opener: StoreOpener) async throws(ServiceError) -> Services {
    guard local == nil else {
      throw ServiceError(.invalidArgument, "--cache: the store \(name) is on this machine already")
    }
    let near = try opener.local(ServiceURL(url), create: true)
    let blobs = CachingBlobService(near: near, far: blobs, folder: near.path)
    let directories = CachingDirectoryService(near: near, far: directories)
    // Which far store the names are of shows in the file's name.
    let source = B3Digest(hashing: [UInt8](name.utf8)).formatted(.hex).prefix(16)
    let roots = CachingRootNodes(far: roots, file: "\(near.path)/far-roots-\(source)")
    let storePaths = CachingRootNodes(
      far: storePaths,
      file: "\(near.path)/far-store-paths-\(source)"
    )
    var services = self
    (services.blobs, services.directories, services.roots) = (blobs, directories, roots)
    services.knownStorePaths = storePaths
    services.onSettle += [
      { await blobs.settle() }, { await directories.settle() }, { await roots.settle() },
      { await storePaths.settle() },
    ]
    return services
  }

  /// Waits until all that was read is kept, where it is to be kept.
  func settle() async {
    for settle in onSettle { await settle() }
  }

  /// The directories, for somebody who walks: what lies below one that was read comes with it.
  var walkedDirectories: any DirectoryService {
    if directories is any LocalDirectoryAccess { return directories }
    return CachingDirectoryService(near: nil, far: directories)
  }

  /// Store paths as names.
  var storePaths: any RootNodes { knownStorePaths ?? Self.names(of: pathInfos) }

  private static func names(of pathInfos: some PathInfoService) -> any RootNodes {
    PathInfoRootNodes(pathInfos)
  }

  /// The services, as the composition module calls them.
  var opened: OpenedServices {
    OpenedServices(
      blobs: blobs,
      directories: directories,
      roots: roots is MissingServices ? nil : roots,
      pathInfos: pathInfos is MissingPathInfos ? nil : pathInfos
    )
  }

  /// Where an import of one tree goes.
  func makeSink() throws -> any TreeSink {
    if let local { return try local.makeWriter() }
    return ServiceTreeSink(blobs: blobs, directories: directories)
  }

  /// The names, to be changed.
  func registry() throws -> any RootRegistry {
    guard let registry = roots as? any RootRegistry else {
      throw CommandError("the roots of \(name) cannot be changed")
    }
    return registry
  }

  /// A directory that must be there.
  func directory(
    _ digest: B3Digest,
    at path: String,
    in service: any DirectoryService
  ) async throws -> Directory {
    guard let directory = try await service.get(digest) else {
      throw CommandError("directory \(digest) of '\(path)' is missing in \(name)")
    }
    return directory
  }
}

/// Stands for services that the options do not name.
private struct MissingServices: BlobService, DirectoryService, RootNodes {
  let name: String

  private func missing(_ kind: String, _ option: String) -> ServiceError {
    ServiceError(.unsupported, "\(name) has no \(kind); see \(option)")
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool {
    throw missing("blobs", "--blob-service")
  }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    throw missing("blobs", "--blob-service")
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter {
    throw missing("blobs", "--blob-service")
  }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    throw missing("blobs", "--blob-service")
  }

  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    throw missing("directories", "--directory-service")
  }

  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    throw missing("directories", "--directory-service")
  }

  func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    throw missing("directories", "--directory-service")
  }

  func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    throw missing("root names", "--root-service, or [rootservices.root] in a composition")
  }

  func list() -> AsyncThrowingStream<NamedNode, any Error> {
    AsyncThrowingStream { throw missing("root names", "--root-service") }
  }
}
