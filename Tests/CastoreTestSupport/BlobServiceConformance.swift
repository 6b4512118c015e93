public import Castore
import Glibc
import Platform
import Testing

/// Everything that a blob service promises, checked on an empty one.
///
/// Leaves blobs in it. Call it on every implementation.
public func checkBlobService(_ service: some BlobService) async throws {
  try await checkMissingBlob(service)
  for blob in Fixtures.blobs { try await checkRoundTrip(service, blob) }
  try await checkSeeks(service)
  try await checkWriters(service)
}

/// Writes a blob in pieces of a length.
@discardableResult
public func write(
  _ bytes: [UInt8],
  to service: some BlobService,
  pieces: Int = 65_536
) async throws -> B3Digest {
  let writer = try await service.openWrite()
  var offset = 0
  while offset < bytes.count {
    let end = min(offset + pieces, bytes.count)
    try await writer.write([UInt8](bytes[offset..<end]))
    offset = end
  }
  return try await writer.close()
}

private func checkMissingBlob(_ service: some BlobService) async throws {
  for digest in [Fixtures.dummyDigest, Fixtures.blobA.digest] {
    #expect(try await !service.has(digest))
    #expect(try await service.openRead(digest) == nil)
    #expect(try await service.chunks(of: digest) == nil)
  }
}

private func checkRoundTrip(_ service: some BlobService, _ blob: Fixtures.Blob) async throws {
  // Twice: storing again is allowed and changes nothing.
  for pieces in [Int.max / 2, 4097] {
    #expect(try await write(blob.bytes, to: service, pieces: pieces) == blob.digest)
  }
  #expect(try await service.has(blob.digest))
  let reader = try #require(try await service.openRead(blob.digest))
  #expect(reader.size == UInt64(blob.bytes.count))
  #expect(try await readAll(reader, step: 100_000) == blob.bytes)
  #expect(try await reader.read(at: 0, count: blob.bytes.count + 1) == blob.bytes)

  // Chunks, where there are any, are in order and make up the blob.
  let chunks = try #require(try await service.chunks(of: blob.digest))
  if !chunks.isEmpty {
    var joined: [UInt8] = []
    for chunk in chunks {
      #expect(try await service.has(chunk.digest))
      let reader = try #require(try await service.openRead(chunk.digest))
      #expect(reader.size == chunk.size)
      let bytes = try await readAll(reader, step: 1 << 20)
      #expect(B3Digest(hashing: bytes) == chunk.digest)
      joined += bytes
    }
    #expect(joined == blob.bytes)
  }
}

private func readAll(_ reader: any BlobReader, step: Int) async throws -> [UInt8] {
  var bytes: [UInt8] = []
  while true {
    let next = try await reader.read(at: UInt64(bytes.count), count: step)
    if next.isEmpty { return bytes }
    bytes += next
  }
}

private func checkSeeks(_ service: some BlobService) async throws {
  let blob = Fixtures.blobB.bytes
  let reader = try #require(try await service.openRead(Fixtures.blobB.digest))
  let end = UInt64(blob.count)
  // The order goes back and forth on purpose.
  let places: [UInt64] = [
    0, 10, 15, 12_370, end - 10, end - 1, 3, 524_288 - 5, 524_288, 0, 65_531, 4091,
  ]
  for place in places {
    let start = Int(place)
    let expected = [UInt8](blob[start..<min(start + 10, blob.count)])
    #expect(try await reader.read(at: place, count: 10) == expected, "at \(place)")
  }
  for place in [end, end + 1, end + 1_000_000, UInt64(Int.max), .max - 1, .max] {
    #expect(try await reader.read(at: place, count: 10).isEmpty, "at \(place)")
  }
  #expect(try await reader.read(at: 0, count: 0).isEmpty)
  #expect(try await reader.read(at: 7, count: .max) == [UInt8](blob[7...]))
  // Several at once.
  try await withThrowingTaskGroup(of: Bool.self) { group in
    for task in 0..<8 {
      group.addTask {
        let start = task * 100_003
        let bytes = try await reader.read(at: UInt64(start), count: 70_000)
        return bytes == [UInt8](blob[start..<(start + 70_000)])
      }
    }
    for try await isRight in group { #expect(isRight) }
  }
}

private func checkWriters(_ service: some BlobService) async throws {
  let bytes = [UInt8]("seen only once the writer is closed".utf8)
  let digest = B3Digest(hashing: bytes)

  let writer = try await service.openWrite()
  try await writer.write(bytes)
  #expect(try await !service.has(digest), "visible before it was closed")
  #expect(try await writer.close() == digest)
  #expect(try await writer.close() == digest, "closing twice names the same blob")
  await writer.abandon()
  #expect(try await service.has(digest), "abandoning after closing does nothing")
  await #expect(throws: ServiceError.self) { try await writer.write([1]) }

  let dropped = [UInt8]("abandoned, and never seen".utf8)
  let abandoned = try await service.openWrite()
  try await abandoned.write(dropped)
  await abandoned.abandon()
  #expect(try await !service.has(B3Digest(hashing: dropped)))
  await #expect(throws: ServiceError.self) { try await abandoned.close() }

  // Two writers at a time do not mix.
  let (first, second) = (try await service.openWrite(), try await service.openWrite())
  try await first.write([1, 2])
  try await second.write([4])
  try await first.write([3])
  try await second.write([])
  try await second.write([5])
  #expect(try await first.close() == Fixtures.dummyData1.digest)
  #expect(try await second.close() == Fixtures.dummyData2.digest)
}

/// Everything that local access to blobs promises, beside the service that stores them.
public func checkLocalBlobAccess(_ service: some BlobService & LocalBlobAccess) async throws {
  var buffer = [UInt8](repeating: 0xff, count: 10)
  func read(_ digest: B3Digest, at offset: UInt64, count: Int = 10) throws -> [UInt8]? {
    let filled = try buffer.withUnsafeMutableBytes { buffer in
      try service.readLocal(
        digest,
        at: offset,
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      )
    }
    return filled.map { [UInt8](buffer[..<$0]) }
  }

  #expect(try read(Fixtures.dummyDigest, at: 0) == nil)
  #expect(try !service.holdsLocal(Fixtures.dummyDigest))
  #expect(try service.openLocalFile(Fixtures.dummyDigest) == nil)
  for blob in Fixtures.blobs {
    try await write(blob.bytes, to: service)
    #expect(try service.holdsLocal(blob.digest))
    let end = UInt64(blob.bytes.count)
    for offset in [0, 1, 5, 10, 4095, end - min(3, end), end, end + 1, .max] {
      let expected = offset >= end ? [] : blob.bytes[Int(offset)...].prefix(10)
      #expect(try read(blob.digest, at: offset) == [UInt8](expected), "\(blob.name) at \(offset)")
    }
    #expect(try read(blob.digest, at: 0, count: 0) == [])

    if let file = try service.openLocalFile(blob.digest) {
      var contents = [UInt8](repeating: 0xff, count: blob.bytes.count + 1)
      let number = file.number
      let count = contents.withUnsafeMutableBytes { pread(number, $0.baseAddress, $0.count, 0) }
      #expect(contents.prefix(max(0, count)) == blob.bytes[...], "the file holds just the blob")
      #expect(pwrite(number, [0], 1, 0) == -1, "the file is open for reading only")
    }
  }
}
