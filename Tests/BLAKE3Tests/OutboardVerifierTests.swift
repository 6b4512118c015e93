import BLAKE3
import Foundation
import Platform
import Synchronization
import Testing

extension BLAKE3Tests {
  @Suite("Verifying with outboards")
  struct OutboardVerifierTests {
    private typealias Verifier = BLAKE3.OutboardVerifier
    private static let group = 16_384

    private let input: [UInt8]

    init() {
      var numbers = Numbers(seed: 0xB0A7)
      input = numbers.bytes(200 * Self.group + 5)
    }

    private func outboard(_ bytes: ArraySlice<UInt8>) -> (BLAKE3.Digest, [UInt8]) {
      var hasher = BLAKE3.OutboardHasher()
      bytes.withUnsafeBytes { hasher.update($0) }
      let outboard = hasher.finalize()
      return (outboard.digest, outboard.bytes)
    }

    private func verify(
      _ verifier: Verifier,
      _ bytes: ArraySlice<UInt8>,
      _ range: Range<UInt64>,
      _ outboard: [UInt8]
    ) -> Verifier.Flaw? {
      let groups = verifier.groups(covering: range)
      let content = bytes[Int(groups.lowerBound)..<Int(groups.upperBound)]
      return outboard.withUnsafeBytes { outboard in
        content.withUnsafeBytes {
          verifier.verify($0, at: groups.lowerBound, outboard: outboard)
        }
      }
    }

    @Test("every range of every size around group borders is right, and remembered")
    func ranges() throws {
      let counts = [0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 66, 127, 128, 129, 191, 193, 200]
      var numbers = Numbers(seed: 7)
      for length in counts.flatMap({ [$0 * Self.group - 1, $0 * Self.group, $0 * Self.group + 1] })
      where length >= 0 {
        let bytes = input[..<length]
        let (digest, outboard) = outboard(bytes)
        for _ in 0..<6 {
          let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
          let start = UInt64(numbers.next() % UInt64(length + 1))
          let end = start + UInt64(numbers.next() % UInt64(length + 1 - Int(start)))
          let range = start..<end
          let groups = verifier.groups(covering: range)
          #expect(verify(verifier, bytes, range, outboard) == nil, "\(range) of \(length)")
          #expect(verifier.isVerified(range) && verifier.isVerified(groups))
          if !groups.isEmpty && groups.upperBound < UInt64(length) {
            #expect(!verifier.isVerified(groups.lowerBound..<groups.upperBound + 1))
          }
          #expect(verify(verifier, bytes, 0..<UInt64(length), outboard) == nil)
          #expect(verifier.isVerified(0..<UInt64(length)))
        }
      }
    }

    @Test("an empty input is its digest or not")
    func empty() throws {
      let none = UnsafeRawBufferPointer(start: nil, count: 0)
      let right = try #require(Verifier(digest: BLAKE3.hash([UInt8]()), size: 0))
      let found = right.verify(none, at: 0, outboard: none)
      #expect(found == nil)
      let wrong = try #require(Verifier(digest: BLAKE3.hash([1]), size: 0))
      let flaw = wrong.verify(none, at: 0, outboard: none)
      #expect(flaw == .content(0..<0))
    }

    @Test("every flipped byte of the content is found, in its group and nowhere else")
    func flippedContent() throws {
      for length in [1, 5000, Self.group, Self.group + 1, 3 * Self.group + 100] {
        var bytes = Array(input[..<length])
        let (digest, outboard) = outboard(bytes[...])
        for position in Array(stride(from: 0, to: length, by: 211)) + [length - 1] {
          bytes[position] ^= 0x10
          let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
          let start = UInt64(position / Self.group * Self.group)
          let group = start..<min(start + UInt64(Self.group), UInt64(length))
          let flaw = verify(verifier, bytes[...], 0..<UInt64(length), outboard)
          #expect(flaw == .content(group))
          #expect(!verifier.isVerified(group))
          bytes[position] ^= 0x10
          #expect(verify(verifier, bytes[...], 0..<UInt64(length), outboard) == nil)
        }
      }
    }

    @Test("every flipped byte of an outboard is found, with its parent's place")
    func flippedOutboard() throws {
      let length = 70 * Self.group + 9
      let bytes = input[..<length]
      let (digest, whole) = outboard(bytes)
      var outboard = whole
      // All content is right: one verifier may remember what it saw, and still find each flip.
      for position in outboard.indices {
        outboard[position] ^= 1 << UInt8(position % 8)
        let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
        var flaw: Verifier.Flaw?
        for group in [0, 31, 32, 63, 64, 69, 70] where flaw == nil {
          let start = UInt64(group * Self.group)
          flaw = verify(verifier, bytes, start..<start + 1, outboard)
        }
        if flaw == nil { flaw = verify(verifier, bytes, 0..<UInt64(length), outboard) }
        let parent = UInt64(position / 64 * 64)
        #expect(flaw == .outboard(offset: parent), "byte \(position)")
        outboard[position] = whole[position]
        #expect(verify(verifier, bytes, 0..<UInt64(length), outboard) == nil)
      }
    }

    @Test("a wrong size, length or digest is a flaw and never a trap")
    func hostile() throws {
      let length = 5 * Self.group
      let bytes = input[..<length]
      let (digest, outboard) = outboard(bytes)
      let short = try #require(Verifier(digest: digest, size: UInt64(length) - 1))
      #expect(verify(short, bytes, 0..<UInt64(length) - 1, outboard) != nil)
      let long = try #require(Verifier(digest: digest, size: UInt64(length) + 1))
      #expect(verify(long, input[...], 0..<UInt64(length) + 1, outboard) != nil)
      let right = try #require(Verifier(digest: digest, size: UInt64(length)))
      for count in [0, 1, 63, 64, outboard.count - 1, outboard.count + 64] {
        let cut = Array((outboard + outboard).prefix(count))
        let end = UInt64(min(count, outboard.count))
        let flaw = verify(right, bytes, 0..<UInt64(length), cut)
        #expect(flaw == .outboard(offset: end))
      }
      let other = try #require(Verifier(digest: BLAKE3.hash([UInt8]()), size: UInt64(length)))
      let flaw = verify(other, bytes, 0..<UInt64(length), outboard)
      #expect(flaw == .outboard(offset: 0))

      // More bits than there is memory are refused; ranges past the end are none.
      for size in [UInt64.max, UInt64.max - 16_384, 1 << 63, 1 << 40] {
        guard let verifier = Verifier(digest: digest, size: size) else { continue }
        let end = verifier.groups(covering: size - 1..<size)
        #expect(end.upperBound == size)
        #expect(end.lowerBound % UInt64(Self.group) == 0)
        #expect(!verifier.isVerified(0..<size))
        #expect(verifier.groups(covering: size..<UInt64.max).isEmpty)
        let content = input[..<end.count]
        let flaw = content.withUnsafeBytes { content in
          verifier.verify(content, at: end.lowerBound) { _, buffer in
            buffer.initializeMemory(as: UInt8.self, repeating: 0xA5)
          }
        }
        #expect(flaw == .outboard(offset: 0))
      }
      let longest: UInt64 = ((1 << 50) - 1) * 64
      #expect(BLAKE3.Outboard.byteCount(forSize: .max) == longest)
    }

    @Test("random outboards are flaws and never traps")
    func random() throws {
      var numbers = Numbers(seed: 99)
      for _ in 0..<200 {
        let length = Int(numbers.next() % UInt64(input.count))
        let bytes = input[..<length]
        let (digest, _) = outboard(bytes)
        let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
        let noise = numbers.bytes(Int(verifier.outboardByteCount))
        let flaw = verify(verifier, bytes, 0..<UInt64(length), noise)
        if noise.isEmpty {
          #expect(flaw == nil)
        } else {
          #expect(flaw == .outboard(offset: 0))
        }
      }
    }

    @Test("an error of reading the outboard comes through, and what is known needs no reading")
    func reading() throws {
      let length = 130 * Self.group
      let bytes = input[..<length]
      let (digest, outboard) = outboard(bytes)
      let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
      #expect(throws: Errno(EIO)) {
        _ = try bytes.withUnsafeBytes { content in
          try verifier.verify(content, at: 0) { (_, _) throws(Errno) in throw Errno(EIO) }
        }
      }
      // From the root one way down, then one page; nothing at all the second time.
      var reads: [Range<UInt64>] = []
      for _ in 0..<2 {
        let flaw = bytes[(64 * Self.group)..<(66 * Self.group)].withUnsafeBytes { content in
          verifier.verify(content, at: UInt64(64 * Self.group)) { offset, buffer in
            reads.append(offset..<offset + UInt64(buffer.count))
            let part = Int(offset)..<Int(offset) + buffer.count
            outboard.withUnsafeBytes {
              buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[part]))
            }
          }
        }
        #expect(flaw == nil)
      }
      // 130 groups: the root, the parent of the first 128, the page of the second 64 of these.
      let expected: [Range<UInt64>] = [0..<64, 64..<128, 4160..<8192]
      #expect(reads == expected)
    }

    @Test("threads share one verifier")
    func threads() throws {
      let length = input.count
      let (digest, outboard) = outboard(input[...])
      let verifier = try #require(Verifier(digest: digest, size: UInt64(length)))
      let flaws = Atomic<Int>(0)
      DispatchQueue.concurrentPerform(iterations: 8) { worker in
        var numbers = Numbers(seed: UInt64(worker))
        for _ in 0..<200 {
          let start = numbers.next() % UInt64(length)
          let range = start..<min(UInt64(length), start + 150_000)
          let flaw = verify(verifier, input[...], range, outboard)
          if flaw == nil && verifier.isVerified(range) { continue }
          flaws.wrappingAdd(1, ordering: .relaxed)
        }
      }
      #expect(flaws.load(ordering: .relaxed) == 0)
      #expect(verify(verifier, input[...], 0..<UInt64(length), outboard) == nil)
      #expect(verifier.isVerified(0..<UInt64(length)))
    }
  }
}
