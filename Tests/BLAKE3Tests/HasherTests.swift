import BLAKE3
import Testing

extension BLAKE3Tests {
  @Suite("Hasher and digest")
  struct HasherTests {
    @Test("finalizing midway gives the digest so far and disturbs nothing")
    func finalizeMidway() {
      var numbers = Numbers(seed: 0xF1A1)
      let input = numbers.bytes(700_000)
      var hasher = BLAKE3.Hasher()
      var offset = 0
      while offset < input.count {
        let length = min(.random(in: 1...40_000, using: &numbers), input.count - offset)
        hasher.update(Array(input[offset..<offset + length]))
        offset += length
        #expect(hasher.finalize() == BLAKE3.hash(Array(input[..<offset])), "\(offset) bytes")
      }
    }

    @Test("a reset hasher begins anew, in the same mode")
    func reset() {
      let mode = BLAKE3.Mode.deriveKey(context: "castore tests 2025 reset")
      var hasher = BLAKE3.Hasher(mode: mode)
      hasher.update([UInt8](repeating: 1, count: 200_000))
      hasher.reset()
      hasher.update([1, 2, 3])
      #expect(hasher.finalize() == BLAKE3.hash([1, 2, 3], mode: mode))
    }

    @Test("nothing, in any number of updates, is the empty input")
    func empty() {
      var hasher = BLAKE3.Hasher()
      hasher.update([])
      hasher.update(UnsafeRawBufferPointer(start: nil, count: 0))
      #expect(hasher.finalize() == BLAKE3.hash([]))
    }

    @Test("output can be sought to its far end")
    func farSeek() {
      var hasher = BLAKE3.Hasher()
      hasher.update([7])
      var end = [UInt8](repeating: 0, count: 100)
      end.withUnsafeMutableBytes { hasher.finalize(into: $0, seek: .max - 99) }
      var tail = [UInt8](repeating: 0, count: 40)
      tail.withUnsafeMutableBytes { hasher.finalize(into: $0, seek: .max - 39) }
      #expect(Array(end.suffix(40)) == tail)
    }

    @Test("keys have exactly 32 bytes")
    func keys() {
      #expect(BLAKE3.Mode.keyed([UInt8](repeating: 0, count: 31)) == nil)
      #expect(BLAKE3.Mode.keyed([UInt8](repeating: 0, count: 33)) == nil)
      #expect(BLAKE3.Mode.keyed([UInt8](repeating: 0, count: 32)) != nil)
    }

    @Test("a digest is its 32 bytes")
    func digest() throws {
      let bytes = (0..<32).map { UInt8($0 * 8 + 1) }
      let digest = try #require(BLAKE3.Digest(bytes))
      #expect(digest.bytes == bytes)
      #expect(digest.hex == hex(bytes))
      #expect(BLAKE3.Digest(bytes.span.bytes) == digest)
      #expect(bytes.withUnsafeBytes { BLAKE3.Digest($0) } == digest)
      #expect(MemoryLayout<BLAKE3.Digest>.size == 32)
      #expect(BLAKE3.Digest(Array(bytes.dropLast())) == nil)
      #expect(BLAKE3.Digest(bytes + [0]) == nil)
      for index in 0..<32 {
        var other = bytes
        other[index] ^= 1
        #expect(BLAKE3.Digest(other) != digest)
      }
    }
  }
}
