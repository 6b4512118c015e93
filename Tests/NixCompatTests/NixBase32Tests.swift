import NixCompat
import Testing

@Suite("nixbase32")
struct NixBase32Tests {
  @Test(
    "encodes and decodes the published vectors",
    arguments: [
      ("", ""),
      ("1f", "0z"),
      ("8a12321522fd91efbd60ebb2481af88580f61600", "00bgd045z0d4icpbc2yyz4gx48ak44la"),
      (
        "b3a24de97a8fdbc835b9833169501030b8977031bcb54b3b3ac13740f846ab30",
        "0c5b8vw40dy178xlpddw65q9gf1h2186jcc3p4swinwggbllv8mk"
      ),
      (
        "13a8cf7ca57f68a9f1752acee36a72a55187d3a954443c112818926f26109d91",
        "14cx20k6z4hq508kqi2lm79qfld5f9mf7kiafpqsjs3zlmycza0k"
      ),
    ]
  )
  func vectors(hexadecimal: String, text: String) throws {
    #expect(try NixBase32.encode(bytes(hexadecimal)) == text)
    #expect(try NixBase32.decode(text) == bytes(hexadecimal))
  }

  @Test(
    "refuses what no bytes encode to",
    arguments: [
      ("zz", TextEncodingError.nonzeroTrailingBits),
      ("c0", .nonzeroTrailingBits),
      ("0", .invalidLength(1)),
      ("0zz", .invalidLength(3)),
      ("0e", .invalidCharacter(UInt8(ascii: "e"), position: 1)),
      ("0o", .invalidCharacter(UInt8(ascii: "o"), position: 1)),
      ("0t", .invalidCharacter(UInt8(ascii: "t"), position: 1)),
      ("u0", .invalidCharacter(UInt8(ascii: "u"), position: 0)),
      ("0A", .invalidCharacter(UInt8(ascii: "A"), position: 1)),
    ]
  )
  func refusals(text: String, error: TextEncodingError) {
    #expect(throws: error) { try NixBase32.decode(text) }
  }

  @Test("computes lengths")
  func lengths() {
    #expect(NixBase32.encodedLength(0) == 0)
    #expect(NixBase32.encodedLength(20) == 32)
    #expect(NixBase32.encodedLength(32) == 52)
    #expect(NixBase32.decodedLength(32) == 20)
  }

  @Test("gives back any bytes, and only their own text decodes to them")
  func roundTrip() throws {
    var random = SeededRandom(seed: 1)
    for count in 0...70 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(try NixBase32.decode(NixBase32.encode(bytes)) == bytes)
    }
    for _ in 0..<2000 {
      let count = Int.random(in: 0...40, using: &random)
      let text = String(
        decoding: (0..<count).map { _ in UInt8.random(in: 0x20...0x7a, using: &random) },
        as: UTF8.self
      )
      if let bytes = try? NixBase32.decode(text) { #expect(NixBase32.encode(bytes) == text) }
    }
  }

  private func bytes(_ hexadecimal: String) throws -> [UInt8] {
    try stride(from: 0, to: hexadecimal.count, by: 2).map {
      try #require(UInt8(hexadecimal.dropFirst($0).prefix(2), radix: 16))
    }
  }
}
