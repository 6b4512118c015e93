import BLAKE3
import Testing

extension BLAKE3Tests {
  @Suite("Pieces of the tree")
  struct TreeTests {
    private let input: [UInt8]

    init() {
      var numbers = Numbers(seed: 0x7EEE)
      input = numbers.bytes(300_000)
    }

    private func piece(_ start: Int, _ length: Int) -> [UInt8] {
      Array(input[min(start, input.count)..<min(start + length, input.count)])
    }

    @Test("subtrees and parents by hand make the root")
    func byHand() {
      let quarter = 65_536
      func subtree(_ index: Int) -> BLAKE3.Digest {
        piece(index * quarter, quarter).withUnsafeBytes {
          BLAKE3.subtreeCV($0, chunk: UInt64(index * quarter / BLAKE3.chunkLength))
        }
      }
      let left = BLAKE3.parentCV(
        BLAKE3.parentCV(subtree(0), subtree(1), isRoot: false),
        BLAKE3.parentCV(subtree(2), subtree(3), isRoot: false),
        isRoot: false
      )
      #expect(BLAKE3.parentCV(left, subtree(4), isRoot: true) == BLAKE3.hash(input))
      #expect(BLAKE3.root(of: (0..<5).map(subtree)) == BLAKE3.hash(input))
    }

    @Test("runs side by side are what each is alone", arguments: BLAKE3.Level.supported)
    func runs(level: BLAKE3.Level) throws {
      let keyed = try #require(BLAKE3.Mode.keyed(Vector.key))
      atLevel(level) {
        for runLength in [1024, 2048, 16_384, 131_072] {
          for length in [0, 1, 1024, 1025, 5000, 131_072, 131_073, 260_000, 300_000] {
            var cvs: [BLAKE3.Digest] = []
            piece(0, length).withUnsafeBytes {
              BLAKE3.appendRunCVs(of: $0, runLength: runLength, chunk: 0, mode: keyed, to: &cvs)
            }
            let alone = stride(from: 0, to: length, by: runLength).map { start in
              piece(start, min(runLength, length - start)).withUnsafeBytes {
                BLAKE3.subtreeCV($0, chunk: UInt64(start / 1024), mode: keyed)
              }
            }
            #expect(cvs == alone, "\(length) bytes in runs of \(runLength)")
          }
        }
      }
    }

    @Test("chunk numbers keep their upper halves in every lane", arguments: BLAKE3.Level.supported)
    func largeCounters(level: BLAKE3.Level) {
      atLevel(level) {
        for first: UInt64 in [(1 << 32) - 5, 1 << 32, (1 << 40) + 7, 1 << 53] {
          for count in [3, 4, 8, 9, 16, 40] {
            var cvs: [BLAKE3.Digest] = []
            piece(0, count * 1024 - 100).withUnsafeBytes {
              BLAKE3.appendRunCVs(of: $0, runLength: 1024, chunk: first, to: &cvs)
            }
            let alone = (0..<count).map { index in
              piece(index * 1024, index == count - 1 ? 924 : 1024).withUnsafeBytes {
                BLAKE3.subtreeCV($0, chunk: first + UInt64(index))
              }
            }
            #expect(cvs == alone, "\(count) chunks from \(first)")
          }
        }
      }
    }

    @Test("every short length is the same at every level, and nothing outside it is read")
    func everyLength() {
      for length in Array(0...3100) + Array(stride(from: 3100, through: 40_000, by: 457)) {
        // An allocation of the exact length: an address sanitizer sees what reads past it.
        let bytes = piece(length % 97, length)
        let digests = BLAKE3.Level.supported.map { level in
          var digest: BLAKE3.Digest?
          atLevel(level) { digest = BLAKE3.hash(bytes) }
          return digest
        }
        #expect(Set(digests).count == 1, "\(length) bytes")
      }
    }
  }
}
