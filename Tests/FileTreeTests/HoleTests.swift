import Castore
import CastoreTestSupport
import FileTree
import Foundation
import Platform
import Testing

@Suite("Long runs of zeros")
struct HoleTests {
  let folder: TestFolder

  init() throws { folder = try TestFolder() }

  private static let mebibyte = 1 << 20

  /// 24 MiB of zeros, but for a few bytes at places.
  private static func sparse(_ places: [Int], count: Int = 24 << 20) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    for place in places { bytes[place] = 1 }
    return bytes
  }

  private func expect(_ bytes: [UInt8], at name: String) throws {
    let path = folder.sub(name)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(bytes))
    var status = stat()
    #expect(stat(path, &status) == 0)
    #expect(Int(status.st_blocks) * 512 < Self.mebibyte, "\(name): \(status.st_blocks) blocks")
  }

  @Test(
    "become holes in an export from elsewhere",
    arguments: [[], [0], [(24 << 20) - 1], [5_000_000], [0, 12_345_678, (24 << 20) - 3]]
  )
  func elsewhere(_ places: [Int]) async throws {
    let bytes = Self.sparse(places)
    let blobs = MemoryBlobService()
    let writer = try await blobs.openWrite()
    try await writer.write(bytes)
    let node = Node.file(
      digest: try await writer.close(),
      size: UInt64(bytes.count),
      isExecutable: false
    )
    let tree = FetchedTree(blobs: blobs, directories: MemoryDirectoryService())
    let path = folder.sub("out")
    let exporter = TreeExporter(blobs: tree, directories: tree)
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      // It blocks.
      Thread.detachNewThread { done.resume(with: Result { try exporter.export(node, to: path) }) }
    }
    try expect(bytes, at: "out")
  }

  @Test("become holes where they lie in the store as zeros", arguments: [true, false])
  func written(isOnAnotherDisk: Bool) throws {
    // Short enough to have no file of its own, and one that has.
    for (name, bytes) in [
      ("short", Self.sparse([0, 700_000], count: 1_000_000)), ("long", Self.sparse([9_000_000])),
    ] {
      let blobs = FileOfZeros(bytes, folder: try TestFolder(inMemory: isOnAnotherDisk))
      let digest = B3Digest(hashing: bytes)
      let node = Node.file(digest: digest, size: UInt64(bytes.count), isExecutable: false)
      let exporter = TreeExporter(blobs: blobs, directories: blobs)
      try exporter.export(node, to: folder.sub(name))
      // On the same disk the kernel copies what is there: a store writes no zeros in the first place.
      if isOnAnotherDisk || name == "short" { try expect(bytes, at: name) }
    }
  }
}

/// One blob, in a file without holes where it is long.
private final class FileOfZeros: LocalBlobAccess, LocalDirectoryAccess {
  private let bytes: [UInt8]
  private let folder: TestFolder

  init(_ bytes: [UInt8], folder: TestFolder) {
    self.bytes = bytes
    self.folder = folder
  }

  var isComplete: Bool { true }
  func holdsLocal(_ digest: B3Digest) throws(ServiceError) -> Bool { true }
  func sizeLocal(_ digest: B3Digest) throws(ServiceError) -> UInt64? { UInt64(bytes.count) }

  func withBytesLocal(
    _ digest: B3Digest,
    _ body: (UnsafeRawBufferPointer) -> Void
  ) throws(ServiceError) -> Bool { false }

  func readLocal(
    _ digest: B3Digest,
    at offset: UInt64,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(ServiceError) -> Int? {
    let part = bytes.dropFirst(Int(offset)).prefix(buffer.count)
    buffer.copyBytes(from: part)
    return part.count
  }

  func openLocalFile(_ digest: B3Digest) throws(ServiceError) -> OwnedDescriptor? {
    if bytes.count <= 1_000_000 { return nil }
    let path = folder.sub("blob")
    do { try Data(bytes).write(to: URL(fileURLWithPath: path)) } catch {
      throw ServiceError(.io, "\(error)")
    }
    return OwnedDescriptor(adopting: open(path, O_RDONLY | O_CLOEXEC))
  }

  func directoryLocal(_ digest: B3Digest) throws(ServiceError) -> Directory? { nil }
}
