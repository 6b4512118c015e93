import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Logging
import NixCompat
import NixStore
import Platform
import Testing

/// Runs blocking code on a thread of its own.
///
/// A test that blocks a thread of Swift's pool on a mount may hold the very thread that has to answer.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
  -> Result
{
  try await withCheckedThrowingContinuation { continuation in
    Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
  }
}

/// Where the names at the top come from.
enum RootsKind: String, CaseIterable, CustomTestStringConvertible {
  /// From a list of names.
  case named
  /// From path infos, where the name is a store path; other names stand beside them.
  case pathInfos

  var testDescription: String { rawValue }
}

/// Services in memory, mounted in a temporary folder for as long as a test runs.
final class MountedFixture: Sendable {
  let blobs = MemoryBlobService()
  let directories = MemoryDirectoryService()
  let roots = MemoryRootNodes()
  let pathInfos = MemoryPathInfoService()
  let rootsKind: RootsKind
  let folder: String
  let mount: Mount
  let fileSystem: CastoreFileSystem

  var path: String { folder + "/mnt" }

  /// Mounts; other services may stand in for those in memory.
  init(
    blobs: (any BlobService)? = nil,
    directories: (any DirectoryService)? = nil,
    roots: (any RootNodes)? = nil,
    rootsKind: RootsKind = .named,
    options: FileSystemOptions = FileSystemOptions()
  ) throws {
    self.rootsKind = rootsKind
    folder = NSTemporaryDirectory() + "castore-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: folder + "/mnt",
      withIntermediateDirectories: true
    )
    var logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    logger.logLevel = .critical
    var ownRoots: any RootNodes = self.roots
    if rootsKind == .pathInfos {
      ownRoots = CombinedRootNodes.combining([self.roots, PathInfoRootNodes(pathInfos)])
    }
    fileSystem = CastoreFileSystem(
      blobs: blobs ?? self.blobs,
      directories: directories ?? self.directories,
      roots: roots ?? ownRoots,
      options: options,
      logger: logger
    )
    mount = try Mount(fileSystem, at: folder + "/mnt")
  }

  deinit {
    _ = try? mount.unmount()
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// Puts what the seed systems' suite expects: see `Names`.
  func populate() async throws {
    for blob in [Fixtures.emptyBlob, Fixtures.blobA, Fixtures.blobB, Fixtures.helloWorld] {
      let writer = try await blobs.openWrite()
      try await writer.write(blob.bytes)
      _ = try await writer.close()
    }
    for known in [Fixtures.withKeep, Fixtures.complicated] {
      _ = try await directories.put(known.directory)
    }
    try await setRoots()
  }

  /// The names of the suite, whether or not their content is there.
  func setRoots() async throws {
    func file(_ blob: Fixtures.Blob, _ isExecutable: Bool = false) -> Node {
      .file(digest: blob.digest, size: UInt64(blob.bytes.count), isExecutable: isExecutable)
    }
    func directory(_ known: Fixtures.KnownDirectory) -> Node {
      .directory(digest: known.digest, size: known.specifiedSize)
    }
    try await set(Names.blobA, file(Fixtures.blobA))
    try await set(Names.symlink, .symlink(target: SymlinkTarget(Names.blobA)))
    try await set(Names.withKeep, directory(Fixtures.withKeep))
    try await set(Names.complicated, directory(Fixtures.complicated))
    try await set(Names.symlink2, .symlink(target: SymlinkTarget("/nix/store/somewhereelse")))
    try await set(Names.blobB, file(Fixtures.blobB))
    try await set(Names.helloWorld, file(Fixtures.helloWorld, true))
  }

  func set(_ name: String, _ node: Node?) async throws {
    if rootsKind == .pathInfos, let node, let path = try? StorePath(baseName: name) {
      let nothing = SHA256Hasher.hash("")
      _ = try await pathInfos.put(
        PathInfo(storePath: path, node: node, narSize: 0, narHash: nothing)
      )
      return
    }
    roots.set(try PathComponent(name), to: node)
  }

  /// Stores a blob and says what a file of it is.
  func addFile(_ bytes: [UInt8], isExecutable: Bool = false) async throws -> Node {
    let writer = try await blobs.openWrite()
    try await writer.write(bytes)
    let digest = try await writer.close()
    return .file(digest: digest, size: UInt64(bytes.count), isExecutable: isExecutable)
  }

  /// Stores a directory.
  func addDirectory(_ entries: [(String, Node)]) async throws -> Node {
    var directory = Directory()
    for (name, node) in entries { try directory.add(PathComponent(name), node) }
    return .directory(
      digest: try await directories.put(directory),
      size: directory.size(rule: .specified)
    )
  }
}

/// The names in the root that the seed systems' suite uses.
enum Names {
  static func name(_ digit: Character) -> String { String(repeating: digit, count: 32) + "-test" }
  static let blobA = name("0")
  static let symlink = name("1")
  static let withKeep = name("2")
  static let complicated = name("3")
  static let symlink2 = name("4")
  static let blobB = name("5")
  static let helloWorld = name("6")
}

/// A failed system call.
struct CallError: Error, Equatable {
  let code: CInt
}

/// `lstat(2)`.
func lstat(_ path: String) throws -> stat {
  var info = stat()
  guard Glibc.lstat(path, &info) == 0 else { throw CallError(code: errno) }
  return info
}

/// The whole file, by `open(2)` and `read(2)`.
func readFile(_ path: String) throws -> [UInt8] {
  let file = open(path, O_RDONLY)
  guard file >= 0 else { throw CallError(code: errno) }
  defer { close(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(file, &buffer, buffer.count)
    guard count >= 0 else { throw CallError(code: errno) }
    if count == 0 { return bytes }
    bytes += buffer[..<count]
  }
}

/// The names in a directory in the order of `readdir(3)`, without `.` and `..`.
func names(_ path: String) throws -> [String] {
  guard let directory = opendir(path) else { throw CallError(code: errno) }
  defer { closedir(directory) }
  var names: [String] = []
  while true {
    errno = 0
    guard let entry = readdir(directory) else {
      guard errno == 0 else { throw CallError(code: errno) }
      return names.filter { $0 != "." && $0 != ".." }
    }
    names.append(
      withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
    )
  }
}
