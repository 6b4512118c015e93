import Castore
import CastoreTestSupport
import FUSE
import Foundation
import Glibc
import Logging
import Platform
import Testing

@testable import CastoreFileSystem

@Suite("What a file system keeps", .serialized)
struct CacheTests {
  /// Blobs whose readers say that they hold a lot.
  private final class HeavyBlobs: BlobService {
    struct Reader: BlobReader {
      let reader: any BlobReader
      var size: UInt64 { reader.size }
      var memoryBound: Int { 8 << 20 }

      func read(at offset: UInt64, count: Int) async throws(ServiceError) -> [UInt8] {
        try await reader.read(at: offset, count: count)
      }
    }

    let blobs = MemoryBlobService()
    let opened = Guarded(0)

    func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { try await blobs.has(digest) }

    func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? {
      opened.withLock { $0 += 1 }
      return try await blobs.openRead(digest).map { Reader(reader: $0) }
    }

    func openWrite() async throws(ServiceError) -> any BlobWriter { try await blobs.openWrite() }

    func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { [] }
  }

  @Test("readers and directories together stay within their bytes, and go when nobody uses them")
  func bounded() async throws {
    let blobs = HeavyBlobs()
    // Not at hand, as those of another machine are not.
    let directories = GatedServices(blobs.blobs, MemoryDirectoryService())
    let fixture = try MountedFixture(blobs: blobs, directories: directories)
    var directory = Directory()
    for number in 0..<40 {
      let bytes = pattern(10_000, seed: UInt64(number))
      let node = Node.file(digest: blobs.blobs.insert(bytes), size: 10_000, isExecutable: false)
      try directory.add(PathComponent("f\(number)"), node)
    }
    let digest = try await directories.put(directory)
    try await fixture.set("tree", .directory(digest: digest, size: 40))
    let path = fixture.path + "/tree"
    for number in 0..<40 {
      let expected = pattern(10_000, seed: UInt64(number))
      #expect(try await onThread { try readFile("\(path)/f\(number)") } == expected)
      #expect(fixture.fileSystem.cachedByteCount <= FileSystemOptions().cacheBytes)
    }
    #expect(blobs.opened.withLock { $0 } == 40)
    #expect(fixture.fileSystem.cachedByteCount > 8 << 20)
    for _ in 0..<2 { fixture.fileSystem.releaseIdle() }
    #expect(fixture.fileSystem.cachedByteCount == 0)
  }

  @Test("twelve listings of 100,000 roots at once ask for the names once, and each shows all")
  func manyListings() async throws {
    let count = 100_000
    let roots = FarRoots()
    for number in 0..<count {
      try roots.set("root-\(number)", .symlink(target: SymlinkTarget("x")))
    }
    var options = FileSystemOptions()
    options.rootValidity = Validity(seconds: 3600)
    let fixture = try MountedFixture(roots: roots, options: options)
    let path = fixture.path
    try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<12 { group.addTask { try await onThread { try Set(names(path)).count } } }
      for try await seen in group { #expect(seen == count) }
    }
    #expect(roots.listings == 1)
  }

  @Test("listings of names that change do not push each other out over and over")
  func changingListings() async throws {
    let roots = MemoryRootNodes()
    for number in 0..<3000 {
      roots.set(try PathComponent("root-\(number)"), to: .symlink(target: SymlinkTarget("x")))
    }
    let counting = CountingRoots(roots)
    // Room for one of them.
    let listings = RootListings(counting, validity: .seconds(1), byteLimit: 400_000)
    var serials: [UInt64] = []
    for number in 0..<12 {
      roots.set(try PathComponent("root-\(number)"), to: .symlink(target: SymlinkTarget("y")))
      let listing = await listings.begin()
      serials.append(listing.serial)
      #expect(try await listing.entries(from: 2999, limit: 10).count == 1)
    }
    #expect(Set(serials).count == 12 && counting.listings == 12)
    for position in stride(from: 0, to: 3000, by: 500) {
      for serial in serials {
        let listing = await listings.resume(serial)
        #expect(try await listing.entries(from: position, limit: 500).count == 500)
      }
    }
    #expect(counting.listings == 12)
    #expect(listings.count <= 2)
    // Equal names: the same listing.
    #expect(await listings.begin().serial == serials.last)
    #expect(counting.listings == 12)
  }

  /// Counts how often names are listed.
  private final class CountingRoots: RootNodes, LocalRootNodes {
    private let roots: MemoryRootNodes
    private let count = Guarded(0)

    init(_ roots: MemoryRootNodes) { self.roots = roots }

    var listings: Int { count.withLock { $0 } }

    func node(named name: PathComponent) async throws(ServiceError) -> Node? {
      try await roots.node(named: name)
    }

    func list() -> AsyncThrowingStream<NamedNode, any Error> {
      count.withLock { $0 += 1 }
      return roots.list()
    }

    func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
      try roots.nodeLocal(named: name)
    }

    func rootsVersion() throws(ServiceError) -> UInt64 { try roots.rootsVersion() }
  }

  @Test("names that the kernel has forgotten are not remembered for ever")
  func knownRoots() throws {
    let known = KnownRoots()
    let node = Node.symlink(target: SymlinkTarget("x"))
    for number in 0..<10_000 {
      let id = UInt64(number)
      known.remember(try PathComponent("n\(number)"), node, id: id) { $0 > id - min(id, 100) }
      #expect(known.count <= 1024)
    }
    let last: PathComponent = "n9999"
    #expect(known.node(named: last) == node)
    known.forget(last)
    #expect(known.node(named: last) == nil)
  }
}
