import NixCompat
import Testing

@Suite("keys and signatures")
struct SigningTests {
  static let secret =
    "cache.example.com-1:cCta2MEsRNuYCgWYyeRXLyfoFpKhQJKn8gLMeXWAb7vIpRKKo/3JoxJ24OYa3DxT2JVV38Kj"
    + "K/1ywHWuMe2JEw=="
  static let publicKey = "cache.example.com-1:yKUSiqP9yaMSduDmGtw8U9iVVd/Coyv9csB1rjHtiRM="
  static let fingerprint =
    "1;/nix/store/0vpqfxbkx0ffrnhbws6g9qwhmliksz7f-perl-HTTP-Cookies-6.01;sha256:"
    + "0h1bm4sj1cnfkxgyhvgi8df1qavnnv94sd0v09wcrm971602shfg;22552;"
  static let signature =
    "s0RTa24/7x5lstmy93KSUW/rD0LR8M0VqMd1t2otpglPhPtJerWS8UNGn+xRRSMOfo/5Kc7gy+mPSW++e4twAg=="

  @Test("sign as others do")
  func sign() throws {
    let key = try NixSecretKey(parsing: Self.secret)
    #expect("\(key.publicKey)" == Self.publicKey)
    #expect(key.secretText == Self.secret)
    let signature = try key.sign(Self.fingerprint)
    #expect("\(signature)" == "cache.example.com-1:\(Self.signature)")
    #expect(key.publicKey.isValid(signature, of: Self.fingerprint))
  }

  @Test(
    "sign the fingerprints of path infos as others do",
    arguments: [
      (
        "0000000000000000000000000000000000000000000000000000", UInt64(0),
        ["00000000000000000000000000000000-dummy"],
        "xl4q2L5wQMou13ZQ9/YPqK1z/DSIYycTtndVNfp2ybT8Cpg+yPv1sCQN8VVWppnq5BXTuMhjaq7K/ebYN4LYBg=="
      ),
      (
        "1wcwacrb5q36hpsx1shk0dkm26hwbmqmgi0nm973h9jqkdz3jz89", 136, [],
        "d/6grhFc7RIZK2FR1svFF8d3u22l2R1kU72Qs5zsqIOptthdueICLAc6sP51RPVmpiJruySSG6GHdeUeCHXuDQ=="
      ),
    ]
  )
  func pathInfos(hash: String, size: UInt64, references: [String], signature: String) throws {
    let key = try NixSecretKey(
      parsing: "do.not.use:sGPzxuK5WvWPraytx+6sjtaff866sYlfvErE6x0hFEhy5eqe7OVZ8ZMqZ/ME/HaRdKGNGvJk"
        + "yGKXYTaeA6lR3A==\n"
    )
    #expect("\(key.publicKey)" == "do.not.use:cuXqnuzlWfGTKmfzBPx2kXShjRryZMhil2E2ngOpUdw=")
    let fingerprint = NARInfo.fingerprint(
      of: try StorePath(baseName: "00000000000000000000000000000000-dummy"),
      narHash: try #require(NixHash(parsing: hash, algorithm: .sha256).sha256),
      narSize: size,
      references: try references.map { try StorePath(baseName: $0) }
    )
    #expect("\(try key.sign(fingerprint))" == "do.not.use:\(signature)")
  }

  @Test("a changed signature, message or name does not verify")
  func negatives() throws {
    let key = try NixPublicKey(parsing: Self.publicKey)
    let good = try NixSignature(parsing: "cache.example.com-1:\(Self.signature)")
    #expect(key.isValid(good, of: Self.fingerprint))
    #expect(!key.isValid(good, of: String(Self.fingerprint.prefix(5))))
    for index in [0, 31, 32, 63] {
      var bytes = good.bytes
      bytes[index] ^= 1
      let changed = try NixSignature(keyName: good.keyName, bytes: bytes)
      #expect(!key.isValid(changed, of: Self.fingerprint))
    }
    let renamed = try NixSignature(keyName: "cache.example.com", bytes: good.bytes)
    #expect(!key.isValid(renamed, of: Self.fingerprint))
  }

  @Test(
    "keys of small order verify nothing",
    arguments: [
      ([0x01], 0x00, 0x00), ([0x00], 0x00, 0x80), ([0xec], 0xff, 0x7f), ([0xee], 0xff, 0xff),
    ] as [([UInt8], UInt8, UInt8)]
  )
  func smallOrder(first: [UInt8], middle: UInt8, last: UInt8) throws {
    let point = first + [UInt8](repeating: middle, count: 30) + [last]
    let key = try NixPublicKey(name: "small", bytes: point)
    // With the neutral element as key and commitment, and zero as the scalar, the plain equation
    // holds for every message.
    let neutral = [1] + [UInt8](repeating: 0, count: 63)
    #expect(!key.isValid(try NixSignature(keyName: "small", bytes: neutral), of: "anything"))
  }

  @Test(
    "malformed signatures are refused",
    arguments: [
      "", "cache.example.com-1", signature, ":\(signature)", "a b:\(signature)",
      "a\n:\(signature)", "a\u{0}:\(signature)", "a:\(signature.dropLast())",
      "a:\(signature.dropLast(2))", "a:\(signature)=", "a:\(signature.dropLast(4))",
      "a: \(signature)", "a:b:\(signature)",
    ]
  )
  func malformedSignatures(text: String) {
    #expect(throws: SigningError.self) { try NixSignature(parsing: text) }
  }

  @Test(
    "a key's name may hold what Nix allows",
    arguments: ["cache/1", "me_and@example.org", "ключ-1", "a+b~", "https"]
  )
  func names(name: String) throws {
    let key = try NixSecretKey(generatingWithName: name)
    let signature = try NixSignature(parsing: "\(key.sign("text"))")
    #expect(signature.keyName == name)
    #expect(try NixPublicKey(parsing: "\(key.publicKey)").isValid(signature, of: "text"))
  }

  @Test("malformed keys are refused")
  func malformedKeys() throws {
    let published = [
      "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=",
      "test1:tLAEn+EeaBUJYqEpTd2yeerr7Ic6+0vWe+aXL/vYUpE=",
      "foo:jp4fCEx9tBEId/L0ZsVJ26k0wC0fu7vJqLjjIGFkup8=",
    ]
    for text in published {
      #expect("\(try NixPublicKey(parsing: text))" == text)
      let bare = text.split(separator: ":")[1]
      for malformed in [String(bare), String(text.dropLast()), "a:\(bare.dropLast(4))", ":\(bare)"]
      {
        #expect(throws: SigningError.self) { try NixPublicKey(parsing: malformed) }
      }
    }
    let missingColon = Self.secret.replacing(":", with: "")
    for text in ["", missingColon, String(Self.secret.dropLast(8)), Self.publicKey] {
      #expect(throws: SigningError.self) { try NixSecretKey(parsing: text) }
    }
    // One bit of the public half.
    let mixed = Self.secret.replacing("vIpRKK", with: "vIpRKL")
    #expect(throws: SigningError.invalidKey) { try NixSecretKey(parsing: mixed) }
  }

  @Test("a generated key signs, and its description keeps the secret")
  func generated() throws {
    let key = try NixSecretKey(generatingWithName: "test-1")
    let again = try NixSecretKey(parsing: key.secretText)
    #expect(again.publicKey == key.publicKey)
    #expect(key.publicKey.isValid(try again.sign("text"), of: "text"))
    #expect(!"\(key)".contains(key.secretText.dropFirst("test-1:".count).prefix(40)))
    #expect(throws: SigningError.invalidName("")) { try NixSecretKey(generatingWithName: "") }
  }
}
