import BLAKE3
import Foundation
import Platform
import Synchronization
import Testing

extension BLAKE3Tests {
  @Suite("Outboards")
  struct OutboardTests {
    private static let group = 16_384
    private static let lengths = [
      0, 1, 1024, 1025, 16_383, 16_384, 16_385, 17_408, 32_767, 32_768, 32_769, 49_152, 49_153,
      65_536, 131_071, 131_072, 131_073, 147_456, 262_144, 262_145, 1_048_575, 1_048_576,
      1_048_577, 1_064_960, 1_081_345, 2_097_152, 2_097_153, 3_000_017,
    ]

    private let input: [UInt8]

    init() {
      var numbers = Numbers(seed: 0x0B0A)
      input = numbers.bytes(3_000_017)
    }

    // The layout by its definition: a parent, its left subtree, its right one.
    private func reference(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
      if bytes.count <= Self.group { return [] }
      var left = Self.group
      while left * 2 < bytes.count { left *= 2 }
      let parts = [bytes.prefix(left), bytes.dropFirst(left)]
      let values = parts.flatMap { part in
        part.withUnsafeBytes {
          BLAKE3.subtreeCV($0, chunk: UInt64(part.startIndex / BLAKE3.chunkLength)).bytes
        }
      }
      return values + parts.flatMap(reference)
    }

    private func outboard(_ bytes: ArraySlice<UInt8>, steps: () -> Int) -> BLAKE3.Outboard {
      var hasher = BLAKE3.OutboardHasher()
      var rest = bytes
      while !rest.isEmpty {
        let length = max(1, steps())
        rest.prefix(length).withUnsafeBytes { hasher.update($0) }
        rest = rest.dropFirst(length)
      }
      return hasher.finalize()
    }

    @Test("are the pre-order tree above groups, whatever the steps", arguments: lengths)
    func layout(length: Int) {
      let bytes = input[..<length]
      let digest = bytes.withUnsafeBytes { BLAKE3.hash($0) }
      let expected = reference(bytes)
      #expect(BLAKE3.Outboard.byteCount(forSize: UInt64(length)) == UInt64(expected.count))
      var numbers = Numbers(seed: UInt64(length))
      let fixed = [1000, 1024, 16_384, 16_385, 65_536, 131_072, 262_144, 8 << 20]
      for step in fixed.map({ [$0] }) + [[1, 16_383, 1, 131_072], []] {
        var turn = 0
        let outboard = outboard(bytes) {
          turn += 1
          return step.isEmpty ? Int(numbers.next() % 70_000) : step[turn % step.count]
        }
        #expect(outboard.digest == digest, "\(length) bytes in steps of \(step)")
        #expect(outboard.size == UInt64(length))
        #expect(outboard.bytes == expected, "\(length) bytes in steps of \(step)")
        #expect(outboard.byteCount == expected.count)
      }
    }

    @Test("of a mode of its own carry its digest")
    func keyed() throws {
      let mode = try #require(BLAKE3.Mode.keyed(Vector.key))
      var hasher = BLAKE3.OutboardHasher(mode: mode)
      hasher.update(input)
      let outboard = hasher.finalize()
      #expect(outboard.digest == BLAKE3.hash(input, mode: mode))
      let verifier = try #require(
        BLAKE3.OutboardVerifier(digest: outboard.digest, size: outboard.size, mode: mode)
      )
      let flaw = outboard.withUnsafeBytes { outboard in
        input.withUnsafeBytes { verifier.verify($0, at: 0, outboard: outboard) }
      }
      #expect(flaw == nil)
    }

    @Test("of files are the same with any number of threads")
    func files() throws {
      var numbers = Numbers(seed: 0xF11E)
      let bytes = numbers.bytes(9 << 20)
      try withTemporaryFolder { folder in
        for length in Self.lengths + [1_310_720, 8 << 20, (9 << 20) - 77] {
          let path = "\(folder)/\(length)"
          try Data(bytes[..<length]).write(to: URL(fileURLWithPath: path))
          let file = try openFile(path)
          let expected = outboard(bytes[..<length]) { 1 << 20 }
          for workers in [nil, 1, 2, 5] {
            let told = Atomic<Int>(0)
            let outboard = try BLAKE3.hashFileWithOutboard(file, workers: workers) { count in
              told.wrappingAdd(count, ordering: .relaxed)
            }
            #expect(outboard.digest == expected.digest)
            #expect(outboard.size == UInt64(length))
            #expect(outboard.bytes == expected.bytes, "\(length) bytes, \(workers ?? 0) workers")
            #expect(told.load(ordering: .relaxed) == length)
          }
        }
      }
    }

    @Test("of files that are not as long as they say are those of what is there")
    func changing() throws {
      // What /proc holds says that it is empty.
      let file = try openFile("/proc/self/maps")
      let outboard = try BLAKE3.hashFileWithOutboard(file)
      #expect(outboard.size > 0)
      #expect(outboard.byteCount == Int(BLAKE3.Outboard.byteCount(forSize: outboard.size)))
      let folder = try openFile("/proc")
      #expect(throws: Errno(EISDIR)) { _ = try BLAKE3.hashFileWithOutboard(folder).size }
    }
  }
}
