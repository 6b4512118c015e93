import Castore
import CastoreTestSupport
import Testing

@Suite("Digests")
struct B3DigestTests {
  @Test("known blobs have the known digests, in every form of text", arguments: Fixtures.blobs)
  func vectors(blob: Fixtures.Blob) throws {
    let digest = B3Digest(hashing: blob.bytes)
    #expect(digest == blob.digest)
    #expect(digest.description == "b3:" + blob.base64)
    #expect(digest.formatted(.blake3) == "blake3-" + blob.base64)
    for style in B3Digest.TextStyle.allCases {
      #expect(try B3Digest(text: digest.formatted(style)) == digest)
    }
    #expect(try B3Digest(text: digest.formatted(.hex).uppercased()) == digest)
    #expect(try B3Digest(bytes: digest.bytes) == digest)
  }

  @Test("one more known digest")
  func platformName() {
    let digest = B3Digest(hashing: [UInt8]("x86_64-linux".utf8))
    #expect(digest.description == "b3:KOM3/IHEx7YfInAnlJpAElYezq0Sxn9fRz7xuClwNfA=")
  }

  @Test("bytes of another length are refused", arguments: [0, 2, 31, 33, 64])
  func lengths(count: Int) {
    #expect(throws: B3DigestError.invalidLength(count)) {
      try B3Digest(bytes: [UInt8](repeating: 0, count: count))
    }
  }

  @Test(
    "text that is not exactly a digest is refused",
    arguments: [
      "",
      "b3:",
      "b3",
      "rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=",
      "sha256-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=",
      "B3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=",
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI",
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI==",
      // The last character's unused bits are set.
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmJ=",
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMm-=",
      "b3: rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMm=",
      "b3:=xNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=",
      // 31 and 33 bytes.
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMg==",
      "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmIA",
      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f326",
      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262a",
      "gf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    ]
  )
  func refused(text: String) {
    #expect(throws: B3DigestError.self) { try B3Digest(text: text) }
  }

  @Test("digests are ordered by their bytes")
  func order() throws {
    var generator = SeededGenerator()
    for _ in 0..<200 {
      var (left, right) = (generator.bytes(32), generator.bytes(32))
      // Equal up to a place, so that every byte decides once in a while.
      let shared = Int.random(in: 0...32, using: &generator)
      right.replaceSubrange(..<shared, with: left[..<shared])
      if shared < 32 && Bool.random(using: &generator) { left[shared] = right[shared] &+ 1 }
      let isLess = try B3Digest(bytes: left) < B3Digest(bytes: right)
      #expect(isLess == left.lexicographicallyPrecedes(right), "seed \(generator.seed)")
    }
  }

  @Test("base64 of all short lengths comes back, in both alphabets")
  func base64() {
    var generator = SeededGenerator()
    for count in 0..<70 {
      let bytes = generator.bytes(count)
      for variant in [Base64.Variant.standard, .url] {
        let text = bytes.withUnsafeBytes { Base64.encode($0, variant) }
        #expect(Base64.decode(text.utf8, variant) == bytes, "seed \(generator.seed)")
      }
    }
    #expect(Base64.decode("+/8=".utf8) == [0xfb, 0xff])
    #expect(Base64.decode("-_8".utf8, .url) == [0xfb, 0xff])
    #expect(Base64.decode("-_8=".utf8, .url) == nil)
    #expect(Base64.decode("====".utf8) == nil)
    #expect(Base64.decode("A".utf8, .url) == nil)
  }
}
