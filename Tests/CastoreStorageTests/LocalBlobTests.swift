import Castore
import CastoreTestSupport
import Foundation
import Packs
import Platform
import Testing

@testable import CastoreStorage

@Suite("Blobs of the local store")
struct LocalBlobTests {
  let folder: TestFolder
  let store: LocalStore

  init() throws {
    folder = try TestFolder()
    store = try LocalStore(path: folder.sub("s"), create: true)
  }

  @Test(
    "blobs come back at every offset",
    arguments: [0, 1, 511, 512, 200_000, 1 << 20, (1 << 20) + 1, 3_000_000]
  )
  func roundTrip(_ count: Int) throws {
    let bytes = noise(count, seed: 5)
    let digest = try store.put(bytes)
    #expect(digest == B3Digest(hashing: bytes))
    #expect(try store.read(digest, count: count + 10) == bytes)
    #expect(try store.sizeLocal(digest) == UInt64(count))
    for offset in [0, 1, count / 2, count, count + 1, 1 << 40] {
      let expected = offset < count ? Array(bytes[offset...].prefix(7)) : []
      #expect(try store.read(digest, at: UInt64(offset), count: 7) == expected)
    }
    #expect(try store.read(digest, at: .max, count: 7) == [])
    let file = try store.openLocalFile(digest)
    #expect((file != nil) == (count > StoreWriter.largestRecord))
    // Again, when all of it was verified.
    #expect(try store.read(digest, count: count + 10) == bytes)
  }

  @Test("a missing blob is nil")
  func missing() throws {
    let digest = B3Digest(hashing: [9])
    #expect(try store.read(digest, count: 1) == nil)
    #expect(try store.openLocalFile(digest) == nil)
    #expect(try store.holdsLocal(digest) == false)
  }

  @Test("blob files are read-only and lie under two digits of their digest")
  func layout() throws {
    let digest = try store.put(noise(2_000_000, seed: 6))
    let path = store.core.blobs.path(of: digest)
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o400)
    let hex = digest.bytes.map { String(format: "%02x", $0) }.joined()
    #expect(path == "\(store.path)/blobs/\(hex.prefix(2))/\(hex)")
  }

  @Test("putting again stores nothing new, within a batch and after it")
  func again() throws {
    let writer = try store.makeWriter()
    let (small, large) = (noise(10, seed: 1), noise(2_000_000, seed: 2))
    for _ in 0..<3 {
      for bytes in [small, large] { _ = try bytes.withUnsafeBytes { try writer.putBlob($0) } }
      try writer.flush()
    }
    let statistics = try store.statistics()
    #expect(statistics.blobs == 2)
    #expect(statistics.blobBytes == 2_000_010)
    #expect(statistics.fileBlobs == 1)
    #expect(try store.problems() == [])
  }

  @Test("a file is put in one pass, and not copied again when its length is known")
  func files() throws {
    let bytes = noise(33 << 20, seed: 3)
    try Data(bytes).write(to: URL(fileURLWithPath: folder.sub("f")))
    let writer = try store.makeWriter()
    for _ in 0..<3 {
      let file = OwnedDescriptor(adopting: open(folder.sub("f"), O_RDONLY))
      var seen = 0
      let (digest, size) = try writer.putBlob(from: file) { seen += $0 }
      #expect(digest == B3Digest(hashing: bytes))
      #expect(size == UInt64(bytes.count))
      #expect(seen == bytes.count)
      try writer.flush()
    }
    #expect(try store.statistics().blobBytes == UInt64(bytes.count))
    #expect(try store.read(B3Digest(hashing: bytes), at: 8 << 20, count: 99)!.count == 99)
  }

  @Test("damage of a large blob's file is an error, never wrong bytes, and only where it is")
  func damage() throws {
    let bytes = noise(2_000_000, seed: 4)
    let digest = try store.put(bytes)
    let path = store.core.blobs.path(of: digest)
    chmod(path, 0o600)
    truncate(path, 1_999_999)
    #expect(serviceError { _ = try store.read(digest, count: 1) }?.code == .corrupt)
    truncate(path, 2_000_000)
    // The same length, but the last byte is another.
    unlink("\(store.path)/damaged")
    let fresh = try LocalStore(path: store.path)
    #expect(try fresh.read(digest, count: 100) == Array(bytes.prefix(100)))
    #expect(serviceError { _ = try fresh.read(digest, at: 1_999_999, count: 5) }?.code == .corrupt)
    #expect(serviceError { _ = try fresh.verifyLocal(digest) }?.code == .corrupt)
    // Known by now, to others, too.
    let later = try LocalStore(path: store.path)
    #expect(serviceError { _ = try later.read(digest, count: 1) }?.code == .corrupt)
    #expect(try store.problems().count == 1)
    let careless = try LocalStore(path: store.path, verifyReads: false)
    #expect(serviceError { _ = try careless.read(digest, count: 1) }?.code == .corrupt)
    unlink("\(store.path)/damaged")
    let blind = try LocalStore(path: store.path, verifyReads: false)
    #expect(try blind.read(digest, at: 1_999_999, count: 5) == [0])
    unlink(path)
    #expect(try store.problems().count == 1)
    // Stored again, it is whole again.
    #expect(try LocalStore(path: store.path).put(bytes) == digest)
    #expect(
      try LocalStore(path: store.path).read(digest, at: 1_999_999, count: 5) == [bytes[1_999_999]]
    )
  }

  @Test("damage of a record is an error that names the pack, and a good copy heals it")
  func recordDamage() throws {
    let bytes = noise(5000, seed: 5)
    let digest = try store.put(bytes)
    let (pack, place) = try #require(
      try store.core.index.open(digest, .blob, accepting: { (_) throws(ServiceError) in true })
    )
    let path = store.core.index.packs.path(of: pack.id)
    chmod(path, 0o600)
    let file = open(path, O_RDWR)
    var byte = bytes[4999] ^ 1
    #expect(pwrite(file, &byte, 1, off_t(place.place) + 4999) == 1)
    close(file)
    let fresh = try LocalStore(path: store.path)
    for _ in 0..<2 {
      let error = serviceError { _ = try fresh.read(digest, count: 10) }
      #expect(error?.code == .corrupt)
      #expect(error?.message.contains(pack.id.fileName(.pack)) == true)
      #expect(error?.message.contains("verify --repair") == true)
    }
    #expect(try fresh.put(bytes) == digest)
    #expect(try fresh.read(digest, count: 5000) == bytes)
    #expect(try LocalStore(path: store.path).read(digest, count: 5000) == bytes)
  }

  @Test("more blobs than stay open are read in turn")
  func manyFiles() throws {
    let writer = try store.makeWriter()
    let blobs = (0..<150).map { noise(1_050_000, seed: 100 + UInt64($0)) }
    for bytes in blobs { _ = try bytes.withUnsafeBytes { try writer.putBlob($0) } }
    try writer.flush()
    for _ in 0..<2 {
      for bytes in blobs {
        #expect(try store.read(B3Digest(hashing: bytes), count: 8) == Array(bytes.prefix(8)))
      }
    }
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
    #expect(open < 400)
  }

  @Test("writers drop what was not flushed, and their temporary files")
  func dropped() throws {
    do {
      let writer = try store.makeWriter()
      _ = try noise(2_000_000, seed: 1).withUnsafeBytes { try writer.putBlob($0) }
      #expect(try files("tmp").count { !$0.hasSuffix("/holds") } == 1)
    }
    #expect(try files("tmp").allSatisfy { $0.hasSuffix("/holds") })
    #expect(try files("packs").isEmpty && files("blobs").isEmpty)
    #expect(try store.statistics().blobs == 0)
  }

  @Test(
    "asynchronous writers make short and long blobs durable",
    arguments: [0, 100, 70_000, 3_000_000]
  )
  func asynchronous(_ count: Int) async throws {
    let bytes = noise(count, seed: 8)
    let writer = try await store.openWrite()
    var rest = bytes[...]
    while !rest.isEmpty {
      try await writer.write([UInt8](rest.prefix(30_000)))
      rest = rest.dropFirst(30_000)
    }
    #expect(try await store.has(B3Digest(hashing: bytes)) == false)
    let digest = try await writer.close()
    #expect(digest == B3Digest(hashing: bytes))
    #expect(try await writer.close() == digest)
    let reader = try #require(try await store.openRead(digest))
    #expect(reader.size == UInt64(count))
    #expect(try await reader.read(at: 0, count: .max) == bytes)
    #expect(try await reader.read(at: .max, count: 10) == [])
    #expect(try await store.chunks(of: digest) == [])
    #expect(try store.problems() == [])
  }

  private func files(_ folder: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: "\(store.path)/\(folder)").filter { name in
      var status = stat()
      return lstat("\(store.path)/\(folder)/\(name)", &status) == 0
        && status.st_mode & S_IFMT == S_IFREG
    }
  }

  @Test("an abandoned blob leaves nothing")
  func abandoned() async throws {
    let writer = try await store.openWrite()
    try await writer.write(noise(2_000_000, seed: 1))
    await writer.abandon()
    await #expect(throws: ServiceError.self) { try await writer.close() }
    #expect(try store.statistics().blobs == 0)
    let left = try Shell.script("find \"$1\" -type f", "\(store.path)/tmp").output
    #expect(left.isEmpty)
  }

  @Test("blobs that come in at once from many tasks are all there")
  func concurrent() async throws {
    let store = store
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<40 {
        group.addTask {
          let writer = try await store.openWrite()
          try await writer.write(noise(index * 3000, seed: 9))
          _ = try await writer.close()
        }
      }
      try await group.waitForAll()
    }
    #expect(try store.statistics().blobs == 40)
    #expect(try store.problems() == [])
  }
}
