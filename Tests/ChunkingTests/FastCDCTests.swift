import BLAKE3
import CastoreTestSupport
import Chunking
import Foundation
import Testing

@Suite("FastCDC")
struct FastCDCTests {
  private func lengths(_ chunker: FastCDC, _ bytes: [UInt8]) -> [Int] {
    var lengths: [Int] = []
    bytes.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let length = chunker.cut(UnsafeRawBufferPointer(rebasing: rest))
        lengths.append(length)
        rest = rest.dropFirst(length)
      }
    }
    return lengths
  }

  // The list of chunks as Snix writes it, whose digest tells every cut: repeated field 2 of field 1, the
  // chunk's digest, and field 2, its length.
  private func index(_ chunker: FastCDC, _ bytes: [UInt8]) -> (count: Int, digest: String) {
    var index: [UInt8] = []
    var offset = 0
    let lengths = lengths(chunker, bytes)
    for length in lengths {
      let digest = bytes[offset..<offset + length].withUnsafeBytes { BLAKE3.hash($0) }
      var chunk: [UInt8] = [0x0A, 32] + digest.bytes + [0x10]
      var rest = length
      while rest >= 128 {
        chunk.append(UInt8(rest & 127 | 128))
        rest >>= 7
      }
      chunk.append(UInt8(rest))
      index += [0x12, UInt8(chunk.count)] + chunk
      offset += length
    }
    return (lengths.count, BLAKE3.hash(index).hex)
  }

  private func python(_ script: String) throws -> [UInt8] {
    let folder = try TestFolder()
    let run = try Shell.script(
      "python3 -c \"$2\" >\"$1/output\"",
      folder.path,
      "import hashlib, struct, sys; w = sys.stdout.buffer.write; \(script)"
    )
    try #require(run.code == 0, "\(run.output)")
    return [UInt8](try #require(FileManager.default.contents(atPath: folder.sub("output"))))
  }

  // SHA-256 of the numbers 0, 1, ...: noise that anybody can make again.
  private func noise() throws -> [UInt8] {
    try python(
      "[w(hashlib.sha256(struct.pack('<Q', i)).digest()) for i in range(131072)]"
    )
  }

  @Test("has the table that is made of MD5")
  func table() throws {
    let expected = try python(
      "[w(hashlib.md5(bytes([i]) * 64).digest()[7::-1]) for i in range(256)]"
    )
    #expect(GearTable.numbers.withUnsafeBytes { [UInt8]($0) } == expected)
  }

  @Test("cuts noise where others do")
  func cuts() throws {
    let bytes = try noise()
    let whole = "1d37570b9c4ab201536ec11da4d40d4c3cfabaa10450a29b042e7f0380b45958"
    try #require(BLAKE3.hash(bytes).hex == whole)
    let usual = try #require(FastCDC(average: 256 << 10))
    let expected = [
      462_774, 320_973, 413_911, 284_840, 423_186, 292_962, 445_274, 201_413, 281_700, 296_398,
      314_390, 352_084, 104_399,
    ]
    #expect(lengths(usual, bytes) == expected)
    let index = index(usual, bytes)
    #expect(index.digest == "bcbfc72986645217825fa1cef0d52f969ed8cc8144aaf6de80dfcc1d0ba69a13")

    let small = try #require(FastCDC(average: 1024))
    let many = self.index(small, bytes)
    #expect(many.count == 3209)
    #expect(many.digest == "210614d35d5d8233010564121fc03ab43a401e9eac987b823eb96a46da1995c1")
  }

  @Test("cuts what repeats where others do")
  func repeating() throws {
    let bytes = Fixtures.blobB.bytes
    let usual = try #require(FastCDC(average: 256 << 10))
    #expect(lengths(usual, bytes) == [524_288, 520_192])
    #expect(
      index(usual, bytes).digest
        == "79d76c4088d8f89dcb11156aa5c44b1c0af22f6f7f7a2d5b55d6d12452f885c4"
    )
    let small = try #require(FastCDC(average: 1024))
    let lengths = lengths(small, bytes)
    #expect(lengths.count == 820)
    #expect(lengths.first == 1130)
    #expect(lengths.last == 400)
    #expect(
      index(small, bytes).digest
        == "f0f62c95cc199aad523b236045d34161544a28e1be4e9dba39c59de1ca0e15cf"
    )
  }

  @Test("cuts alike whether it sees the rest of the input or the longest chunk's length of it")
  func windows() throws {
    let bytes = Array(try noise().prefix(1 << 20))
    let chunkers = [
      FastCDC(average: 1024), FastCDC(minimum: 64, average: 256, maximum: 1024),
      FastCDC(minimum: 101, average: 300, maximum: 1101),
      FastCDC(minimum: 4096, average: 16_384, maximum: 65_536),
    ]
    for chunker in chunkers {
      let chunker = try #require(chunker)
      var offset = 0
      for length in lengths(chunker, bytes) {
        let window = bytes[offset..<min(offset + chunker.maximum, bytes.count)]
        #expect(window.withUnsafeBytes { chunker.cut($0) } == length)
        #expect(length <= chunker.maximum)
        #expect(length >= chunker.minimum & ~1 || offset + length == bytes.count)
        offset += length
      }
    }
  }

  @Test("takes every length of input", arguments: [(64, 256, 1024), (65, 257, 1025)])
  func shortInputs(minimum: Int, average: Int, maximum: Int) throws {
    let chunker = try #require(FastCDC(minimum: minimum, average: average, maximum: maximum))
    for length in 0...2100 {
      // Of its own length: an address sanitizer sees what reads past it.
      let bytes = [UInt8](repeating: 7, count: length)
      let cut = bytes.withUnsafeBytes { chunker.cut($0) }
      #expect(cut <= length && (cut > 0 || length == 0))
      if length <= minimum { #expect(cut == length) }
    }
  }

  @Test("refuses lengths out of range")
  func parameters() {
    let wrong = [
      (63, 256, 1024), (64, 255, 1024), (64, 256, 1023), (300, 256, 1024), (64, 2048, 1024),
      ((1 << 20) + 1, 4 << 20, 16 << 20), (64, (4 << 20) + 1, 16 << 20),
      (64, 256, (16 << 20) + 1), (.min, .min, .min), (.max, .max, .max),
    ]
    for (minimum, average, maximum) in wrong {
      #expect(FastCDC(minimum: minimum, average: average, maximum: maximum) == nil)
    }
    for average in [Int.min, -1, 0, 1, 511, .max] { #expect(FastCDC(average: average) == nil) }
    #expect(FastCDC(average: 512) != nil && FastCDC(average: 2 << 20) != nil)
  }
}
