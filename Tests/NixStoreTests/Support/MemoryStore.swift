import Castore
import CastoreTestSupport
import Glibc
import NixCompat
import NixStore
import Platform

/// Blobs and directories in memory, with a sink that puts into them and can be made to fail.
final class MemoryStore: TreeSink, Sendable {
  let blobs = MemoryBlobService()
  private let directories = Guarded<[B3Digest: Directory]>([:])
  private let isFailing = Guarded(false)
  let inMemoryLimit: Int

  init(inMemoryLimit: Int = 1 << 20) {
    self.inMemoryLimit = inMemoryLimit
  }

  /// One that holds what the fixtures need.
  static func populated() throws -> MemoryStore {
    let store = MemoryStore()
    for blob in Fixtures.blobs { store.blobs.insert(blob.bytes) }
    for known in Fixtures.directories { _ = try store.putDirectory(known.directory) }
    return store
  }

  func fail() { isFailing.withLock { $0 = true } }

  func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
    if isFailing.withLock({ $0 }) { throw ServiceError(.outOfSpace, "no room") }
    precondition(bytes.count <= inMemoryLimit, "longer blobs come another way")
    return blobs.insert([UInt8](bytes))
  }

  func putBlob(
    from file: borrowing OwnedDescriptor,
    progress: (Int) -> Void
  ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = pread(file.number, &buffer, buffer.count, bytes.count)
      if count <= 0 { break }
      bytes += buffer[..<count]
    }
    return (blobs.insert(bytes), UInt64(bytes.count))
  }

  func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest {
    if isFailing.withLock({ $0 }) { throw ServiceError(.outOfSpace, "no room") }
    let digest = directory.digest
    directories.withLock { $0[digest] = directory }
    return digest
  }

  func flush() throws(ServiceError) {}

  var directoryCount: Int { directories.withLock { $0.count } }

  var renderer: NARRenderer { NARRenderer(blobs: blobs, directories: self) }

  func nar(of node: Node) throws -> [UInt8] {
    var sink = ByteArraySink()
    try renderer.render(node, to: &sink)
    return sink.bytes
  }

  func ingest(
    _ nar: [UInt8],
    pieces: Int = .max,
    expecting expectation: NARIngester.Expectation = .init()
  ) throws -> NARIngester.Result {
    try NARIngester(into: self).ingest(
      ByteArraySource(nar, maximumReadLength: pieces),
      expecting: expectation
    )
  }
}

extension MemoryStore: LocalDirectoryAccess, DirectoryService {
  func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? {
    directories.withLock { $0[digest] }
  }

  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? {
    try directoryLocal(digest)
  }

  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest {
    try putDirectory(directory)
  }

  func putMultiple() async throws(ServiceError) -> any DirectoryPutter {
    throw ServiceError(.unsupported, "not needed")
  }
}

/// Services without local access: everything takes a task's turn.
struct RemoteBlobs: BlobService {
  let inner: MemoryBlobService

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { try await inner.has(digest) }

  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
    await Task.yield()
    guard let reader = try await inner.openRead(digest) else { return nil }
    return SlowReader(inner: reader)
  }

  func openWrite() async throws(ServiceError) -> any BlobWriter { try await inner.openWrite() }

  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? {
    try await inner.chunks(of: digest)
  }

  private struct SlowReader: BlobReader {
    let inner: any BlobReader
    var size: UInt64 { inner.size }

    func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
      await Task.yield()
      // Short reads are for the end only, by contract; shorter pieces than asked for never come.
      return try await inner.read(at: offset, count: count)
    }
  }
}

/// Trees that exercise every path: sizes around the limits, depth, names that are not UTF-8.
enum SampleTree {
  static func noise(_ count: Int, _ seed: UInt64) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      var index = 0
      while index < count {
        let word = generator.next()
        for shift in 0..<min(8, count - index) {
          buffer[index + shift] = UInt8(truncatingIfNeeded: word >> UInt64(shift * 8))
        }
        index += 8
      }
      filled = count
    }
  }

  static func make(in store: MemoryStore, sizes: [Int]) throws -> Node {
    var entries: [NamedNode] = []
    for (place, size) in sizes.enumerated() {
      let digest = store.blobs.insert(noise(size, UInt64(place)))
      entries.append(
        NamedNode(
          name: try PathComponent("file-\(place)"),
          node: .file(digest: digest, size: UInt64(size), isExecutable: place % 2 == 0)
        )
      )
    }
    entries.append(NamedNode(name: try PathComponent([0xff, 0x80]), node: .symlink(target: "..")))
    var node = Node.directory(
      digest: try store.putDirectory(Directory(entries)),
      size: try Directory(entries).specifiedSize
    )
    for level in 0..<30 {
      let directory = try Directory([
        NamedNode(name: try PathComponent("level-\(level)"), node: node),
        NamedNode(name: "zz", node: .symlink(target: "/nowhere")),
      ])
      _ = try store.putDirectory(directory)
      node = directory.node()
    }
    return node
  }
}
