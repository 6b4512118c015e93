import BLAKE3
import Testing

extension BLAKE3Tests {
  /// Every check for every official vector, in all modes, at every level of this machine.
  @Suite("Official vectors")
  struct VectorTests {
    /// The vector's inputs and outputs in each mode.
    private func cases(_ vector: Vector) throws -> [(mode: BLAKE3.Mode, output: [UInt8])] {
      [
        (.hash, vector.hash),
        (try #require(BLAKE3.Mode.keyed(Vector.key)), vector.keyed),
        (.deriveKey(context: Vector.context), vector.derived),
      ]
    }

    @Test("there are 35 of 131 bytes in each mode")
    func table() {
      #expect(Vector.all.count == 35)
      for vector in Vector.all {
        #expect([vector.hash, vector.keyed, vector.derived].allSatisfy { $0.count == 131 })
      }
      #expect(Vector.all.last?.length == 102_400)
    }

    @Test("one call gives the first 32 bytes", arguments: BLAKE3.Level.supported, Vector.all)
    func oneShot(level: BLAKE3.Level, vector: Vector) throws {
      let input = vector.input
      for (mode, output) in try cases(vector) {
        atLevel(level) {
          let expected = Array(output.prefix(32))
          #expect(BLAKE3.hash(input, mode: mode).bytes == expected)
          #expect(BLAKE3.hash(input.span.bytes, mode: mode).bytes == expected)
        }
      }
    }

    @Test("output goes on as far as asked, from anywhere", arguments: Vector.all)
    func extendedOutput(vector: Vector) throws {
      for (mode, output) in try cases(vector) {
        var hasher = BLAKE3.Hasher(mode: mode)
        hasher.update(vector.input)
        var bytes = [UInt8](repeating: 0xAA, count: output.count)
        bytes.withUnsafeMutableBytes { hasher.finalize(into: $0) }
        #expect(bytes == output)
        for seek in [1, 31, 32, 63, 64, 65, 100, 127, 128, 130, 131] {
          var bytes = [UInt8](repeating: 0xAA, count: output.count - seek)
          bytes.withUnsafeMutableBytes { hasher.finalize(into: $0, seek: UInt64(seek)) }
          #expect(bytes == Array(output[seek...]), "from \(seek)")
        }
      }
    }

    @Test(
      "the sizes of updates change nothing",
      arguments: BLAKE3.Level.supported,
      [1, 3, 63, 64, 65, 1000, 1023, 1024, 1025, 2048, 5000, 16_383, 16_384, 16_385, 50_000]
    )
    func incremental(level: BLAKE3.Level, step: Int) throws {
      for vector in Vector.all {
        let input = vector.input
        for (mode, output) in try cases(vector) {
          atLevel(level) {
            let digest = hashInSteps(input, mode: mode) { step }
            #expect(digest.bytes == Array(output.prefix(32)), "\(vector.length) bytes")
          }
        }
      }
    }

    @Test(
      "pieces hashed on several threads give the same root",
      arguments: BLAKE3.Level.supported,
      [1024, 2048, 4096, 32_768]
    )
    func parallel(level: BLAKE3.Level, pieceLength: Int) throws {
      for vector in Vector.all {
        for (mode, output) in try cases(vector) {
          atLevel(level) {
            let digest = vector.input.withUnsafeBytes {
              BLAKE3.hashParallel($0, workers: 3, pieceLength: pieceLength, mode: mode)
            }
            #expect(digest.bytes == Array(output.prefix(32)), "\(vector.length) bytes")
          }
        }
      }
    }
  }
}
