import BLAKE3
import Foundation
import Testing

extension BLAKE3Tests {
  /// The vectors end below one group of 128 KiB; the tree above is checked against `b3sum`.
  @Suite("Against b3sum")
  struct PeerTests {
    private static let lengths: [Int] = {
      let group = 128 << 10
      var lengths: [Int] = []
      for groups in 1...8 {
        for odd in [-1024, -1, 0, 1, 1024, 1025, 15 << 10, (16 << 10) + 1, 100_003] {
          lengths.append(groups * group + odd)
        }
      }
      return lengths + [3 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 5_555_555]
    }()

    // Inputs are the beginnings of one random text; its seed is the first number here.
    private static let input: [UInt8] = {
      var numbers = Numbers(seed: 0xB1A3)
      return numbers.bytes(lengths.max() ?? 0)
    }()

    /// The peer's outputs for all lengths.
    private func expected(_ options: [String] = [], input: [UInt8] = []) throws -> [String] {
      try withTemporaryFolder { folder in
        let files = try Self.lengths.map { length in
          let path = "\(folder)/\(length)"
          try Data(Self.input[..<length]).write(to: URL(fileURLWithPath: path))
          return path
        }
        return try b3sum(files, options, input: input)
      }
    }

    private func forEachLevelAndLength(
      _ expected: [String],
      _ body: (UnsafeRawBufferPointer, String) -> Void
    ) throws {
      try #require(expected.count == Self.lengths.count)
      for level in BLAKE3.Level.supported {
        atLevel(level) {
          for (length, expected) in zip(Self.lengths, expected) {
            Self.input.withUnsafeBytes {
              body(UnsafeRawBufferPointer(rebasing: $0[..<length]), expected)
            }
          }
        }
      }
    }

    @Test("one call agrees")
    func oneShot() throws {
      try forEachLevelAndLength(try expected()) { input, expected in
        #expect(BLAKE3.hash(input).hex == expected, "\(input.count) bytes")
      }
    }

    @Test("keyed and derived outputs agree")
    func modes() throws {
      let keyed = try #require(BLAKE3.Mode.keyed(Vector.key))
      try forEachLevelAndLength(try expected(["--keyed"], input: Vector.key)) { input, expected in
        #expect(BLAKE3.hash(input, mode: keyed).hex == expected, "\(input.count) bytes")
      }
      let derived = BLAKE3.Mode.deriveKey(context: Vector.context)
      let expected = try expected(["--derive-key", Vector.context])
      try forEachLevelAndLength(expected) { input, expected in
        #expect(BLAKE3.hash(input, mode: derived).hex == expected, "\(input.count) bytes")
      }
    }

    @Test("threads agree, whatever their pieces")
    func parallel() throws {
      try forEachLevelAndLength(try expected()) { input, expected in
        for pieceLength in [64 << 10, 256 << 10, 1 << 20] {
          let digest = BLAKE3.hashParallel(input, workers: 2, pieceLength: pieceLength)
          #expect(digest.hex == expected, "\(input.count) bytes by \(pieceLength)")
        }
      }
    }

    @Test("updates of mixed sizes agree, and so does their extended output")
    func incremental() throws {
      var numbers = Numbers(seed: 0x57E9)
      let expected = try expected(["--length", "200"])
      try forEachLevelAndLength(expected) { input, expected in
        for longest in [3000, 17_000, 70_000, 400_000] {
          var hasher = BLAKE3.Hasher()
          var offset = 0
          while offset < input.count {
            let length = min(.random(in: 0...longest, using: &numbers), input.count - offset)
            hasher.update(UnsafeRawBufferPointer(rebasing: input[offset..<offset + length]))
            offset += length
          }
          var output = [UInt8](repeating: 0, count: 200)
          output.withUnsafeMutableBytes { hasher.finalize(into: $0) }
          #expect(hex(output) == expected, "\(input.count) bytes by up to \(longest)")
          #expect(hasher.finalize().bytes == Array(output.prefix(32)))
        }
      }
    }
  }
}
