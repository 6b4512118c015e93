import NixCompat
import Testing

@Suite("hashes")
struct HashTests {
  struct Vector: Sendable {
    let algorithm: HashAlgorithm
    let hexadecimal, nixBase32, base64: String
  }

  static let vectors = [
    Vector(
      algorithm: .sha1,
      hexadecimal: "6016777997c30ab02413cf5095622cd7924283ac",
      nixBase32: "mj1l54np5ii9al6g2cjb02n3jxwpf5k0",
      base64: "YBZ3eZfDCrAkE89QlWIs15JCg6w="
    ),
    Vector(
      algorithm: .sha256,
      hexadecimal: "a5ce9c155ed09397614646c9717fc7cd94b1023d7b76b618d409e4fefd6e9d39",
      nixBase32: "0fcxdvyzxr09shcbcxkv7l1b356dqxzp3ja68rhrg4yhbqarrkm5",
      base64: "pc6cFV7Qk5dhRkbJcX/HzZSxAj17drYY1Ank/v1unTk="
    ),
    Vector(
      algorithm: .sha512,
      hexadecimal:
        "ab40d0be3541f0774bba7815d13d10b03252e96e95f7dbb4ee99a3b431c21662"
        + "fd6971a020160e39848aa5f305b9be0f78727b2b0789e39f124d21e92b8f39ef",
      nixBase32:
        "3pkk3rbx4hls4lzwf4hfavvf9w0zgmr0prsb2l47471c850f5lzsqhnq8qv98wrxssdpxwmdvlm4cmh20yx2"
        + "5bqp95pgw216nzd0h5b",
      base64:
        "q0DQvjVB8HdLungV0T0QsDJS6W6V99u07pmjtDHCFmL9aXGgIBYOOYSKpfMFub4PeHJ7KweJ458STSHpK4857w=="
    ),
    Vector(
      algorithm: .md5,
      hexadecimal: "c4874a8897440b393d862d8fd459073f",
      nixBase32: "1z0xcx93rdhqykj2s4jy44m1y4",
      base64: "xIdKiJdECzk9hi2P1FkHPw=="
    ),
  ]

  @Test("reads every form and writes every form", arguments: vectors)
  func forms(vector: Vector) throws {
    let name = vector.algorithm.rawValue
    let hash = try NixHash(parsing: "\(name):\(vector.hexadecimal)")
    for digest in [vector.hexadecimal, vector.nixBase32, vector.base64] {
      #expect(try NixHash(parsing: "\(name):\(digest)") == hash)
      #expect(try NixHash(parsing: "\(name):\(digest)", algorithm: vector.algorithm) == hash)
      #expect(try NixHash(parsing: digest, algorithm: vector.algorithm) == hash)
      #expect(throws: HashParseError.missingAlgorithm) { try NixHash(parsing: digest) }
      #expect(throws: HashParseError.self) {
        try NixHash(parsing: "\(name):\(digest.dropLast())")
      }
    }
    #expect(try NixHash(parsing: "\(name)-\(vector.base64)") == hash)
    #expect(hash.hexadecimal == vector.hexadecimal)
    #expect(hash.nixBase32 == vector.nixBase32)
    #expect(hash.base64 == vector.base64)
    #expect(hash.sri == "\(name)-\(vector.base64)")
    #expect("\(hash)" == "\(name):\(vector.nixBase32)")
  }

  @Test("takes any amount of padding in the integrity form, and only there")
  func padding() throws {
    let digest = "fgIr3TyFGDAXP5+qoAaiMKDg/a1MlT6Fv/S/DaA24S8"
    let wanted = "7e022bdd3c851830173f9faaa006a230a0e0fdad4c953e85bff4bf0da036e12f"
    for padding in ["", "=", "==", "====="] {
      #expect(try NixHash(parsing: "sha256-\(digest)\(padding)").hexadecimal == wanted)
    }
    #expect(try NixHash(parsing: "sha256-\(digest)= and a comment").hexadecimal == wanted)
    #expect(try NixHash(parsing: "sha256:\(digest)=").hexadecimal == wanted)
    #expect(throws: HashParseError.invalidLength(.sha256, 43)) {
      try NixHash(parsing: "sha256:\(digest)")
    }
    #expect(throws: HashParseError.invalidLength(.sha256, 43)) {
      try NixHash(parsing: digest, algorithm: .sha256)
    }
  }

  @Test("refuses unknown and conflicting algorithms, and what does not decode")
  func refusals() {
    let digest = Self.vectors[1].base64
    #expect(throws: HashParseError.unknownAlgorithm("sha384")) {
      try NixHash(parsing: "sha384-\(digest)")
    }
    #expect(throws: HashParseError.conflictingAlgorithms(expected: .sha1, found: .sha256)) {
      try NixHash(parsing: "sha256-\(digest)", algorithm: .sha1)
    }
    #expect(throws: HashParseError.invalidLength(.sha1, 44)) {
      try NixHash(parsing: "sha1-\(digest)")
    }
    #expect(
      throws: HashParseError.invalidDigest(
        .sha256,
        .invalidCharacter(UInt8(ascii: "!"), position: 0)
      )
    ) { try NixHash(parsing: "sha256-!\(digest.dropFirst())") }
    // The last character before the padding holds two bits that stand for nothing.
    #expect(throws: HashParseError.invalidDigest(.sha256, .nonzeroTrailingBits)) {
      try NixHash(parsing: "sha256-\(digest.dropLast(2))l=")
    }
    for text in ["", ":", "-", "sha256", "sha256:", "sha256-", "sha256- "] {
      #expect(throws: HashParseError.self) { try NixHash(parsing: text) }
    }
  }

  @Test("hashes with every algorithm, in pieces and at once")
  func hashing() throws {
    let complicated = try NARSamples.encode(NARSamples.complicated)
    let hello = NARSamples.bytes("Hello World!")
    #expect(
      NixHasher.hash(hello, with: .md5).hexadecimal == "ed076287532e86365e841e92bfc50d8c"
    )
    #expect(
      NixHasher.hash(complicated, with: .sha512).hexadecimal
        == "1f5d43941411f35f09211f8596b426ee6e4dd3af1639e0ed2273cbe44b818fc4"
        + "a59e3af02a057c5b18fbfcf435497de5f1994206c137f469b3df674966a922f0"
    )
    #expect(
      NixHasher.hash(try NARSamples.encode(NARSamples.symlink), with: .sha1).hexadecimal
        == "424eeaaa9cc016bab030bf007cb1be6483e7ba9e"
    )
    var pieces = SHA256Hasher()
    for byte in complicated { pieces.update([byte]) }
    #expect(pieces.finalize() == SHA256Hasher.hash(complicated))
    #expect(NixHasher.hash(complicated, with: .sha256).sha256 == pieces.finalize())
    #expect(pieces.byteCount == 840)
    #expect(
      SHA256Hasher.hash("").hexadecimal
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
  }

  @Test(
    "content addresses print as they were read",
    arguments: [
      "text:sha256:1kr6h9rkk2rhyj35isglsf55m1nz9lybi1m2k2sv6iwb8i6didhx",
      "fixed:sha256:1ih27mgqfzjlas97rvj18s8j3p0bpwb03vr71yrq776vzv1v6fcs",
      "fixed:r:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw",
      "fixed:r:md5:1z0xcx93rdhqykj2s4jy44m1y4",
    ]
  )
  func contentAddresses(text: String) throws {
    #expect("\(try ContentAddress(parsing: text))" == text)
  }

  @Test("refuses malformed content addresses")
  func contentAddressRefusals() throws {
    let sha1 = try ContentAddress(parsing: "fixed:r:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw")
    #expect(sha1.hash.hexadecimal == "5cba3c77236ae4f9650270a27fbad375551fa60a")
    let refusals: [(String, ContentAddressError)] = [
      ("", .unknownMethod),
      ("fixed", .unknownMethod),
      ("git:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw", .unknownMethod),
      ("text:sha1:1ak1ymbmsfx7z8kh09jzkr3a4dvkrfjw", .textAlgorithm(.sha1)),
      ("fixed:sha1:5cba3c77236ae4f9650270a27fbad375551fa60a", .notNixBase32),
      ("fixed:sha1-XLo8dyNq5PllAnCif7rTdVUfpgo=", .notNixBase32),
      ("fixed:r:", .invalidHash(.missingAlgorithm)),
    ]
    for (text, error) in refusals {
      #expect(throws: error) { try ContentAddress(parsing: text) }
    }
  }

  @Test("content addresses come in two fields too")
  func contentAddressFields() throws {
    let hexadecimal = "08813cbee9903c62be4c5027726a418a300da4500b2d369d3af9286f4815ceba"
    let nixBase32 = "1fnf2m46ya7r7afkcb8ba2j0sc4a85m749sh9jz64g4hx6z3r088"
    let hash = try NixHash(parsing: "sha256:\(hexadecimal)")
    for text in [hexadecimal, nixBase32, hash.base64, hash.sri] {
      let recursive = try ContentAddress(hash: text, hashAlgorithm: "r:sha256")
      #expect(recursive == .recursive(hash))
      #expect(recursive.hashAlgorithmField == "r:sha256")
      #expect(try ContentAddress(hash: text, hashAlgorithm: "sha256") == .flat(hash))
      for algorithm in ["", "r:", "sha384", "r:md5", "text:sha1"] {
        #expect(throws: ContentAddressError.self) {
          try ContentAddress(hash: text, hashAlgorithm: algorithm)
        }
      }
    }
  }
}
