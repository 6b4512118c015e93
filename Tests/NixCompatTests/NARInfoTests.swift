import Foundation
import NixCompat
import Testing

@Suite("narinfo")
struct NARInfoTests {
  /// Real files, most of them from cache.nixos.org.
  static let published: [String] = {
    guard let url = Bundle.module.url(forResource: "Fixtures/narinfos", withExtension: "txt"),
      let text = try? String(contentsOf: url, encoding: .utf8)
    else { return [] }
    return text.components(separatedBy: "\n\n").map { $0.hasSuffix("\n") ? $0 : $0 + "\n" }
  }()

  static let keys = [
    "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
    "test1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE=",
  ]

  @Test("real files print as they were read, and their signatures hold")
  func published() throws {
    #expect(Self.published.count == 11)
    let keys = try Self.keys.map { try NixPublicKey(parsing: $0) }
    for text in Self.published {
      let info = try NARInfo(parsing: text)
      #expect(info.description == text)
      #expect(try NARInfo(parsing: Array(text.utf8)) == info)
      #expect(info.flags == [])
      #expect(info.isSigned(byOneOf: keys))
      #expect(!info.isSigned(byOneOf: []))
      for signature in info.signatures {
        let valid = keys.filter { $0.isValid(signature, of: Array(info.fingerprint.utf8)) }
        #expect(valid.map(\.name) == [signature.keyName])
      }
    }
  }

  @Test("content addresses of real files lead to their paths")
  func contentAddressed() throws {
    var count = 0
    for text in Self.published {
      let info = try NARInfo(parsing: text)
      guard let address = info.contentAddress else { continue }
      count += 1
      let path = try StorePath(
        name: info.storePath.name,
        address: address,
        references: info.references
      )
      #expect(path == info.storePath)
    }
    #expect(count == 5)
  }

  @Test("every field is read")
  func fields() throws {
    let text = try #require(Self.published.first { $0.contains("curl-7.82.0-bin") })
    let info = try NARInfo(parsing: text)
    #expect(info.storePath.baseName == "syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin")
    #expect(info.compression == "xz")
    #expect(info.fileSize == 68_852)
    #expect(info.narSize == 196_040)
    #expect(info.references.count == 4)
    #expect(info.deriver?.name == "curl-7.82.0")
    #expect(info.system == nil)
    #expect(info.signatures.map(\.keyName) == ["cache.nixos.org-1", "test1"])
    #expect(
      info.fingerprint
        == "1;/nix/store/syd87l2rxw8cbsxmxl853h0r6pdwhwjr-curl-7.82.0-bin;sha256:"
        + "1b4sb93wp679q4zx9k1ignby1yna3z7c4c2ri3wphylbc2dwsys0;196040;/nix/store/"
        + "0jqd0rlxzra1rs38rdxl43yh6rxchgc6-curl-7.82.0,/nix/store/"
        + "6w8g7njm4mck5dmjxws0z1xnrxvl81xa-glibc-2.34-115,/nix/store/"
        + "j5jxw3iy7bbz4a57fh9g2xm2gxmyal8h-zlib-1.2.12,/nix/store/"
        + "yxvjs9drzsphm9pcf42a4byzj1kb9m7k-openssl-1.1.1n"
    )
  }

  static let path = "/nix/store/00bgd045z0d4icpbc2yyz4gx48ak44la-net-tools-1.60_p20170221182432"
  static let hash = "1wcwacrb5q36hpsx1shk0dkm26hwbmqmgi0nm973h9jqkdz3jz89"
  static let hexadecimal = "60adfd2900000000000000000000000000000000000000000000000000004ff3"

  static let lines = [
    "StorePath: \(path)", "URL: nar/x.nar?hash=abc", "Compression: none",
    "NarHash: sha256:\(hash)", "NarSize: 136", "References: ",
  ]

  static func text(
    replacing key: String = "",
    with replacement: String? = nil,
    adding added: String...
  ) -> String {
    let lines = lines.compactMap { $0.hasPrefix(key + ":") ? replacement : $0 } + added
    return lines.map { $0 + "\n" }.joined()
  }

  static let unusual: [(String, NARInfo.Flags)] = [
    (text(), []),
    (text(replacing: "Compression"), .compressionDefault),
    (text(replacing: "Compression", with: "Compression: bzip2"), []),
    (text(replacing: "References"), .referencesMissing),
    (
      text(replacing: "NarHash", with: "NarHash: sha256:\(hexadecimal)"),
      .narHashHexadecimal
    ),
    (
      text(
        replacing: "References",
        with: "References: yxvjs9drzsphm9pcf42a4byzj1kb9m7k-b 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-a"
      ),
      .referencesOutOfOrder
    ),
    (text(adding: "Deriver: unknown-deriver"), .unknownDeriver),
    (text(adding: "System: i686-linux"), []),
    (text(adding: "CA: fixed:r:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw"), []),
  ]

  @Test("what is unusual is flagged and prints as it was read", arguments: unusual)
  func flags(text: String, flags: NARInfo.Flags) throws {
    let info = try NARInfo(parsing: text)
    #expect(info.flags == flags)
    #expect(info.description == text)
    #expect(info.deriver == nil)
    let compression = text.contains("Compression: none") ? nil : "bzip2"
    #expect(info.compression == compression)
  }

  @Test("unknown fields are left out and flagged")
  func unknownFields() throws {
    let info = try NARInfo(parsing: Self.text(adding: "Colour: blue", "Empty: "))
    #expect(info.flags == .unknownField)
    #expect(info.description == Self.text())
  }

  static let malformed: [(String, NARInfoError.Code, Int?)] = [
    ("", .missingField(.storePath), nil),
    (text(replacing: "StorePath"), .missingField(.storePath), nil),
    (text(replacing: "URL"), .missingField(.url), nil),
    (text(replacing: "NarHash"), .missingField(.narHash), nil),
    (text(replacing: "NarSize"), .missingField(.narSize), nil),
    (text(replacing: "URL", with: "URL: "), .emptyField(.url), 2),
    (text(replacing: "URL", with: "URL:x"), .invalidLine, 2),
    (text(replacing: "URL", with: "URL"), .invalidLine, 2),
    (text(replacing: "URL", with: ""), .invalidLine, 2),
    (text(adding: "", ""), .invalidLine, 7),
    (text(adding: "URL: y"), .duplicateField(.url), 7),
    (text(adding: "References: "), .duplicateField(.references), 7),
    (
      text(replacing: "StorePath", with: "StorePath: x"),
      .invalidStorePath(.missingStoreDirectory), 1
    ),
    (text(replacing: "NarHash", with: "NarHash: \(hash)"), .missingHashPrefix(.narHash), 4),
    (
      text(replacing: "NarHash", with: "NarHash: sha256:00"),
      .invalidHash(.narHash, .invalidLength(2)), 4
    ),
    (
      text(replacing: "NarHash", with: "NarHash: sha256:\(hexadecimal.uppercased())"),
      .invalidHash(.narHash, .invalidCharacter(UInt8(ascii: "A"), position: 2)), 4
    ),
    (
      text(adding: "FileHash: sha256:\(hexadecimal)"),
      .invalidHash(.fileHash, .invalidLength(64)), 7
    ),
    (text(replacing: "NarSize", with: "NarSize: -1"), .invalidSize(.narSize), 5),
    (text(replacing: "NarSize", with: "NarSize: 01"), .invalidSize(.narSize), 5),
    (
      text(replacing: "NarSize", with: "NarSize: 18446744073709551616"),
      .invalidSize(.narSize), 5
    ),
    (
      text(replacing: "References", with: "References: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-a "),
      .invalidReference(1, .invalidLength(0)), 6
    ),
    (
      text(replacing: "References", with: "References: a"),
      .invalidReference(0, .invalidLength(1)), 6
    ),
    (
      text(adding: "Deriver: 0jqd0rlxzra1rs38rdxl43yh6rxchgc6-a"),
      .deriverWithoutSuffix, 7
    ),
    (text(adding: "Deriver: a.drv"), .invalidDeriver(.invalidLength(1)), 7),
    (text(adding: "Sig: a:b"), .invalidSignature(0, .invalidBase64(.invalidLength(1))), 7),
    (text(adding: "CA: a"), .invalidContentAddress(.unknownMethod), 7),
  ]

  @Test("errors name the field and the line", arguments: malformed)
  func errors(text: String, code: NARInfoError.Code, line: Int?) {
    let error = #expect(throws: NARInfoError.self) { try NARInfo(parsing: text) }
    #expect(error?.code == code)
    #expect(error?.line == line)
    #expect(error?.description.isEmpty == false)
  }

  @Test("bytes that are not UTF-8 are refused")
  func notUTF8() {
    let error = #expect(throws: NARInfoError.self) {
      try NARInfo(parsing: Array(Self.text().utf8) + [0x55, 0xff, 0x3a, 0x20, 0x0a])
    }
    #expect(error?.code == .notUTF8)
  }

  @Test("nothing gets a second line into a file")
  func injection() throws {
    let info = try NARInfo(parsing: Self.text())
    for url in ["", "nar/x\nSig: y"] {
      #expect(throws: NARInfoError.self) {
        try NARInfo(storePath: info.storePath, url: url, narHash: info.narHash, narSize: 1)
      }
    }
  }

  @Test("a signature can be added and then holds")
  func signing() throws {
    var info = try NARInfo(parsing: Self.text())
    let key = try NixSecretKey(generatingWithName: "test-1")
    try info.sign(with: key)
    let again = try NARInfo(parsing: info.description)
    #expect(again == info)
    #expect(again.isSigned(byOneOf: [key.publicKey]))
  }

  @Test("random mutations give an error, or what prints and reads the same again")
  func mutations() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    let samples = Self.published.map { Array($0.utf8) }.filter { $0.count < 1200 }
    for round in 0..<3000 {
      var bytes = samples[round % samples.count]
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        let position = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.insert(UInt8.random(in: 0x0a...0x7f, using: &random), at: position)
        case 2 where bytes.count > 1: bytes.remove(at: position)
        default: bytes.swapAt(position, Int.random(in: 0..<bytes.count, using: &random))
        }
      }
      guard let info = try? NARInfo(parsing: bytes) else { continue }
      var expected = info
      if info.flags.contains(.unknownField) {
        expected = try NARInfo(parsing: info.description)
        #expect(expected.flags.union(.unknownField) == info.flags, "seed \(seed), round \(round)")
      }
      #expect(try NARInfo(parsing: info.description) == expected, "seed \(seed), round \(round)")
    }
  }
}
