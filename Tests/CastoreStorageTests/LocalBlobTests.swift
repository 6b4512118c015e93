import Castore
import CastoreTestSupport
import Foundation
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

  @Test("blobs come back at every offset", arguments: [0, 1, 65_535, 65_536, 65_537, 200_000])
  func roundTrip(_ count: Int) throws {
    let bytes = noise(count, seed: 5)
    let digest = try store.put(bytes)
    #expect(digest == B3Digest(hashing: bytes))
    #expect(try store.read(digest, count: count + 10) == bytes)
    #expect(try store.blobSize(digest) == UInt64(count))
    for offset in [0, 1, count / 2, count, count + 1, 1 << 40] {
      let expected = offset < count ? Array(bytes[offset...].prefix(7)) : []
      #expect(try store.read(digest, at: UInt64(offset), count: 7) == expected)
    }
    #expect(try store.read(digest, at: .max, count: 7) == [])
    let file = try store.openLocalFile(digest)
    #expect((file != nil) == (count > BlobRecord.inlineLimit))
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
    let digest = try store.put(noise(100_000, seed: 6))
    let path = store.core.blobPath(digest)
    var status = stat()
    #expect(lstat(path, &status) == 0)
    #expect(status.st_mode & 0o777 == 0o444)
    let hex = digest.bytes.map { String(format: "%02x", $0) }.joined()
    #expect(path == "\(store.path)/blobs/\(hex.prefix(2))/\(hex)")
  }

  @Test("putting again stores nothing new, within a batch and after it")
  func again() throws {
    let writer = try store.makeWriter()
    let (small, large) = (noise(10, seed: 1), noise(100_000, seed: 2))
    for _ in 0..<3 {
      for bytes in [small, large] { _ = try bytes.withUnsafeBytes { try writer.putBlob($0) } }
      try writer.flush()
    }
    let statistics = try store.statistics()
    #expect(statistics.blobs == 2)
    #expect(statistics.blobBytes == 100_010)
    #expect(statistics.fileBlobs == 1)
    #expect(try store.problems() == [])
  }

  @Test("a file is put in one pass, and not copied again when its length is known")
  func files() throws {
    let bytes = noise(9 << 20, seed: 3)
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

  @Test("damage on the disk is an error, never wrong bytes past the recorded length")
  func damage() throws {
    let digest = try store.put(noise(99_999, seed: 4) + [7])
    let path = store.core.blobPath(digest)
    chmod(path, 0o644)
    truncate(path, 99_999)
    #expect(serviceError { _ = try store.read(digest, count: 1) }?.code == .corrupt)
    #expect(serviceError { _ = try store.openLocalFile(digest) }?.code == .corrupt)
    truncate(path, 100_000)
    // The same length, but the last byte is another: only reading all of it tells.
    #expect(try store.read(digest, at: 99_999, count: 5) == [0])
    #expect(try store.problems().count == 1)
    let careful = try LocalStore(path: store.path, verifyReads: true)
    #expect(serviceError { _ = try careful.read(digest, count: 1) }?.code == .corrupt)
    unlink(path)
    #expect(serviceError { _ = try store.openLocalFile(digest) }?.code == .corrupt)
    #expect(try store.problems().count == 1)
  }

  @Test(
    "records that no store wrote are corrupt",
    arguments: [[], [2], [1], [1, 0, 0], [0xff, 1]]
  )
  func hostileRecords(_ record: [UInt8]) throws {
    let digest = B3Digest(hashing: [1])
    try store.core.index.write { (writer) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        try record.span.bytes.withUnsafeBytes { (value) throws(ServiceError) in
          try writer.set(.blobs, key, value)
          try writer.set(.directories, key, value)
          try writer.set(.roots, key, value)
        }
      }
    }
    #expect(serviceError { _ = try store.read(digest, count: 1) }?.code == .corrupt)
    #expect(try store.problems().count >= 2)
  }

  @Test("inline bytes that do not match are found when reads are verified")
  func inlineDamage() throws {
    let digest = B3Digest(hashing: [1])
    try store.core.index.write { (writer) throws(ServiceError) in
      try digest.withUnsafeBytes { (key) throws(ServiceError) in
        _ = try writer.add(.blobs, key, count: 2) { $0.copyBytes(from: [0, 7]) }
      }
    }
    #expect(try store.read(digest, count: 5) == [7])
    let careful = try LocalStore(path: store.path, verifyReads: true)
    #expect(serviceError { _ = try careful.read(digest, count: 1) }?.code == .corrupt)
  }

  @Test("more blobs than stay open are read in turn")
  func manyFiles() throws {
    let writer = try store.makeWriter()
    let blobs = (0..<300).map { noise(66_000, seed: 100 + UInt64($0)) }
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
      _ = try noise(100_000, seed: 1).withUnsafeBytes { try writer.putBlob($0) }
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(store.path)/tmp").count == 1)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(store.path)/tmp").isEmpty)
    #expect(try store.statistics().blobs == 0)
  }

  @Test(
    "asynchronous writers make short and long blobs durable",
    arguments: [0, 100, 70_000, 300_000]
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

  @Test("an abandoned blob leaves nothing")
  func abandoned() async throws {
    let writer = try await store.openWrite()
    try await writer.write(noise(100_000, seed: 1))
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
