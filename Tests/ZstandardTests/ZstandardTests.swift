import CastoreTestSupport
import Foundation
import Testing
import Zstandard

@Suite("Zstandard")
struct ZstandardTests {
  private func compress(_ bytes: [UInt8], level: Int = 3) throws -> [UInt8] {
    var compressor = try ZstdCompressor(level: level)
    var frame: [UInt8] = []
    try bytes.withUnsafeBytes { try compressor.compress($0, appendingTo: &frame) }
    return frame
  }

  private func decompress(_ frame: [UInt8], limit: Int) throws -> [UInt8] {
    var decompressor = try ZstdDecompressor()
    return try frame.withUnsafeBytes { try decompressor.decompress($0, limit: limit) }
  }

  private func decompress(_ frame: [UInt8], length: Int) throws -> [UInt8] {
    var decompressor = try ZstdDecompressor()
    var output = [UInt8](repeating: 0, count: length)
    try frame.withUnsafeBytes { frame in
      try output.withUnsafeMutableBytes { try decompressor.decompress(frame, into: $0) }
    }
    return output
  }

  private func inflate(_ frame: [UInt8], step: Int, room: Int) throws -> [UInt8] {
    var inflater = try ZstdInflater()
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: room)
    var rest = frame[...]
    while true {
      let input = Array(rest.prefix(step))
      let done = try input.withUnsafeBytes { input in
        try buffer.withUnsafeMutableBytes { try inflater.inflate(input, into: $0) }
      }
      output += buffer[..<done.produced]
      rest = rest.dropFirst(done.consumed)
      if rest.isEmpty && done.produced < room { break }
    }
    try inflater.finish()
    return output
  }

  // Compressible, and not all of one kind.
  private func sample(_ count: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: 11)
    var bytes: [UInt8] = []
    while bytes.count < count {
      bytes += Array("line \(generator.next() % 1000)\n".utf8)
      if generator.next() % 8 == 0 { bytes += generator.bytes(20) }
    }
    return Array(bytes.prefix(count))
  }

  @Test(
    "what was compressed comes back",
    arguments: [0, 1, 100, 65_536, 131_072, 131_073, 700_000]
  )
  func roundTrip(count: Int) throws {
    let bytes = sample(count)
    for level in [Int.min, 1, 3, 9, 19, .max] where count < 200_000 || level == 3 {
      let frame = try compress(bytes, level: level)
      if count > 1000 { #expect(frame.count < count * 3 / 4) }
      #expect(try decompress(frame, length: count) == bytes)
      #expect(try decompress(frame, limit: count) == bytes)
      #expect(try inflate(frame, step: 1000, room: 4096) == bytes)
    }
  }

  @Test("records that follow each other become one frame, as if they had been one")
  func records() throws {
    let bytes = sample(300_000)
    var compressor = try ZstdCompressor()
    var output: [UInt8] = [1, 2, 3]
    for _ in 0..<2 {
      output = [1, 2, 3]
      try bytes.withUnsafeBytes { bytes in
        let cuts = [0, 0, 5, 4000, 4001, 150_000, 300_000]
        let records = zip(cuts, cuts.dropFirst()).map { start, end in
          UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        }
        try compressor.compress(records, appendingTo: &output)
      }
    }
    #expect(output.prefix(3) == [1, 2, 3])
    #expect(try decompress(Array(output.dropFirst(3)), length: bytes.count) == bytes)
  }

  @Test("the command line's frames are read, with its checksums, and it reads ours")
  func peer() throws {
    let folder = try TestFolder()
    let bytes = sample(400_000)
    try Data(bytes).write(to: URL(fileURLWithPath: folder.sub("plain")))
    let run = try Shell.script("zstd -q -5 \"$1/plain\" -o \"$1/theirs\"", folder.path)
    try #require(run.code == 0, "\(run.output)")
    let theirs = [UInt8](try #require(FileManager.default.contents(atPath: folder.sub("theirs"))))
    #expect(try decompress(theirs, limit: bytes.count) == bytes)
    try Data(compress(bytes)).write(to: URL(fileURLWithPath: folder.sub("ours.zst")))
    let check = try Shell.script(
      "zstd -q -d \"$1/ours.zst\" -o \"$1/back\" && cmp \"$1/plain\" \"$1/back\"",
      folder.path
    )
    #expect(check.code == 0, "\(check.output)")
  }

  @Test("frames that follow each other are one stream")
  func several() throws {
    let (one, two) = (sample(5000), sample(70_000))
    let frames = try compress(one) + compress(two) + compress([])
    #expect(try decompress(frames, length: 75_000) == one + two)
    #expect(try decompress(frames, limit: 75_000) == one + two)
    #expect(try inflate(frames, step: 17, room: 1024) == one + two)
  }

  @Test("never more comes out than is allowed, whatever the frame says")
  func limits() throws {
    let bomb = try compress([UInt8](repeating: 0, count: 16 << 20))
    #expect(bomb.count < 10_000)
    #expect(throws: ZstdError.tooLong(limit: 1000)) { try decompress(bomb, limit: 1000) }
    #expect(throws: ZstdError.tooLong(limit: 0)) { try decompress(bomb, limit: 0) }
    #expect(throws: ZstdError.tooLong(limit: 1000)) { try decompress(bomb, length: 1000) }
    let frame = try compress(sample(1000))
    #expect(throws: ZstdError.tooLong(limit: 999)) { try decompress(frame, limit: 999) }
    #expect(throws: ZstdError.tooLong(limit: 999)) { try decompress(frame, length: 999) }
    #expect(throws: ZstdError.tooShort(expected: 1001, got: 1000)) {
      try decompress(frame, length: 1001)
    }
    #expect(try decompress(frame, limit: .max).count == 1000)
  }

  @Test("a frame that asks for gigabytes of memory is refused before it gets any")
  func windows() throws {
    // Magic, no single segment, a window of 2^41 bytes; then an empty last block.
    let greedy: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xF8, 0x01, 0x00, 0x00]
    #expect(throws: ZstdError.windowTooLarge) { try decompress(greedy, limit: 1000) }
    #expect(throws: ZstdError.windowTooLarge) { try inflate(greedy, step: 100, room: 100) }
    // One segment of 2^60 bytes: its window is its length.
    let segment: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xE0] + [0, 0, 0, 0, 0, 0, 0, 16] + [1, 0, 0]
    #expect(throws: ZstdError.self) { try decompress(segment, limit: 1000) }
    #expect(throws: ZstdError.self) { try decompress(segment, length: 1000) }
  }

  @Test("a frame that is cut short anywhere is an error")
  func truncated() throws {
    let frame = try compress(sample(3000))
    for length in 0..<frame.count {
      let cut = Array(frame.prefix(length))
      #expect(throws: ZstdError.self) { try decompress(cut, length: 3000) }
      #expect(throws: ZstdError.self) { try decompress(cut, limit: 3000) }
      // No bytes at all are a stream of no frames.
      if length > 0 {
        #expect(throws: ZstdError.self) { try inflate(cut, step: 64, room: 512) }
      }
    }
    #expect(try inflate([], step: 64, room: 512) == [])
  }

  @Test("flipped bits and noise are errors or other bytes of bounded length, never a trap")
  func noise() throws {
    let bytes = sample(3000)
    let frame = try compress(bytes)
    var generator = SeededGenerator()
    for round in 0..<3000 {
      var wrong = frame
      if round % 3 == 0 {
        wrong = generator.bytes(Int(generator.next() % 200))
        if round % 2 == 0 { wrong = Array(frame.prefix(4)) + wrong }
      } else {
        let position = Int(generator.next() % UInt64(wrong.count))
        wrong[position] ^= 1 << UInt8(generator.next() % 8)
      }
      if let output = try? decompress(wrong, limit: 5000) { #expect(output.count <= 5000) }
      _ = try? decompress(wrong, length: 3000)
      _ = try? inflate(wrong, step: 100, room: 1000)
    }
    for extra: [UInt8] in [[0], [1, 2, 3, 4, 5], frame.dropLast(4) + []] {
      #expect(throws: ZstdError.self) { try decompress(frame + extra, limit: 10_000) }
      #expect(throws: ZstdError.self) { try decompress(frame + extra, length: 3000) }
    }
  }
}
