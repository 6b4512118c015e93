import Castore
import CastoreTestSupport
import Testing

@Suite("Directories, whatever they hold")
struct DirectoryPropertyTests {
  // What decodes encodes to the same bytes; everything else is an error, never a trap.
  private func checkDecodes(_ bytes: [UInt8], _ seed: UInt64) -> Bool {
    let directory = try? Directory(canonicalEncoding: bytes)
    let index = try? DirectoryIndex(canonicalEncoding: bytes)
    #expect((directory == nil) == (index == nil), "seed \(seed)")
    guard let directory, let index else { return false }
    #expect(directory.encoded() == bytes, "seed \(seed)")
    #expect(Directory(index) == directory, "seed \(seed)")
    return true
  }

  @Test("random directories come back from their encoding")
  func roundTrip() throws {
    var generator = SeededGenerator()
    for _ in 0..<200 {
      let directory = generator.directory()
      let encoding = directory.encoded()
      let decoded = try Directory(canonicalEncoding: encoding)
      #expect(decoded == directory, "seed \(generator.seed)")
      #expect(decoded.specifiedSize == directory.specifiedSize, "seed \(generator.seed)")
      #expect(checkDecodes(encoding, generator.seed))
      for entry in directory.entries {
        let bytes = entry.encoded()
        #expect(try NamedNode(canonicalEncoding: bytes) == entry, "seed \(generator.seed)")
        let anonymous = entry.node.encoded()
        #expect(try Node(canonicalEncoding: anonymous) == entry.node, "seed \(generator.seed)")
      }
    }
  }

  @Test("every truncation of an encoding is a smaller directory or an error")
  func truncations() {
    var generator = SeededGenerator()
    for _ in 0..<10 {
      let encoding = generator.directory(maximumCount: 8).encoded()
      var valid = 0
      for end in 0...encoding.count where checkDecodes([UInt8](encoding[..<end]), generator.seed) {
        valid += 1
      }
      // Only at the ends of entries.
      let count = (try? Directory(canonicalEncoding: encoding))?.entries.count
      #expect(count.map { $0 + 1 } == valid, "seed \(generator.seed)")
    }
  }

  @Test("random changes to an encoding give another directory or an error")
  func mutations() {
    var generator = SeededGenerator()
    var (refused, taken) = (0, 0)
    for _ in 0..<60 {
      let encoding = generator.directory(maximumCount: 6).encoded()
      for _ in 0..<50 {
        if checkDecodes(generator.mutated(encoding), generator.seed) {
          taken += 1
        } else {
          refused += 1
        }
      }
    }
    // Both happen, or the test tests nothing.
    #expect(refused > 100 && taken > 100, "seed \(generator.seed)")
  }

  @Test("random bytes are refused without harm")
  func noise() {
    var generator = SeededGenerator()
    for _ in 0..<2000 {
      var bytes = generator.bytes(Int.random(in: 0...80, using: &generator))
      if let first = bytes.indices.first {
        bytes[first] = [0x0a, 0x12, 0x1a].randomElement(using: &generator) ?? 0
      }
      _ = checkDecodes(bytes, generator.seed)
      _ = try? Node(canonicalEncoding: bytes)
      _ = try? NamedNode(canonicalEncoding: bytes)
    }
  }
}
