import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Logging
import Platform

/// The lines of a log.
struct LogRecorder: LogHandler {
  let lines = Guarded<[String]>([])
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    lines.withLock { $0.append("\(event.message)") }
  }
}

/// A store on disk, mounted in a temporary folder for as long as a test runs.
final class StoreFixture: Sendable {
  let folder: TestFolder
  let store: LocalStore
  let mount: Mount
  let fileSystem: CastoreFileSystem
  private let log: LogRecorder

  var path: String { folder.sub("mnt") }
  var logged: [String] { log.lines.withLock { $0 } }

  /// Mounts a store that is new, or the one at a path.
  init(
    _ dataPath: DataPath = .cached,
    storePath: String? = nil,
    maxStackDepth: UInt32 = 1,
    blobs: (any BlobService)? = nil,
    change: (inout FileSystemOptions) -> Void = { _ in }
  ) throws {
    folder = try TestFolder()
    store = try LocalStore(path: storePath ?? folder.sub("store"), create: true)
    try FileManager.default.createDirectory(
      atPath: folder.sub("mnt"),
      withIntermediateDirectories: false
    )
    let log = LogRecorder()
    self.log = log
    var options = FileSystemOptions()
    options.dataPath = dataPath
    options.maxStackDepth = maxStackDepth
    change(&options)
    fileSystem = CastoreFileSystem(
      blobs: blobs ?? store,
      directories: store,
      roots: store,
      options: options,
      logger: Logger(label: "test", factory: { _ in log })
    )
    mount = try Mount(fileSystem, at: folder.sub("mnt"))
  }

  deinit {
    _ = try? mount.unmount()
  }

  /// Stores a file under a name in the root.
  @discardableResult
  func add(_ name: String, _ bytes: [UInt8], isExecutable: Bool = false) async throws -> Node {
    let writer = try await store.openWrite()
    try await writer.write(bytes)
    let digest = try await writer.close()
    let node = Node.file(
      digest: digest,
      size: UInt64(bytes.count),
      isExecutable: isExecutable
    )
    try store.setRoot(PathComponent(name), to: node)
    return node
  }

  /// Stores a directory under a name in the root.
  func addDirectory(_ name: String, _ entries: [(String, Node)]) async throws {
    var directory = Directory()
    for (name, node) in entries { try directory.add(PathComponent(name), node) }
    let digest = try await store.put(directory)
    let node = Node.directory(digest: digest, size: directory.size(rule: .specified))
    try store.setRoot(PathComponent(name), to: node)
  }

  var counts: RequestCounts { mount.session.requestCounts }
}

/// Bytes that differ from place to place, and from seed to seed.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var generator = SeededGenerator(seed: seed)
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + 8)
  while bytes.count < count {
    withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
  }
  return Array(bytes.prefix(count))
}
