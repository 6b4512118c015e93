public import Castore
public import Testing

/// Blobs and directories with known digests, which other implementations use as well.
public enum Fixtures {
  /// A blob with its digest.
  public struct Blob: Sendable, CustomTestStringConvertible {
    /// What it is called.
    public let name: String
    /// Its bytes.
    public let bytes: [UInt8]
    /// The BLAKE3 digest of the bytes.
    public let digest: B3Digest
    /// The digest in base64.
    public let base64: String

    /// The name.
    public var testDescription: String { name }

    init(_ name: String, _ bytes: [UInt8], _ hex: String, _ base64: String) {
      self.name = name
      self.bytes = bytes
      digest = B3Digest(hex: hex)
      self.base64 = base64
    }
  }

  /// No bytes.
  public static let emptyBlob = Blob(
    "empty",
    [],
    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI="
  )
  /// A greeting of twelve bytes.
  public static let helloWorld = Blob(
    "hello world",
    [UInt8]("Hello World!".utf8),
    "5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c",
    "XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww="
  )
  /// Two bytes.
  public static let blobA = Blob(
    "A",
    [0, 1],
    "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63",
    "e3AVu5LPCzGAN3AqbN2B3uQSJPc0aEwsEizWNZyx7mM="
  )
  /// 1,044,480 bytes: 0 to 254, 4,096 times.
  public static let blobB = Blob(
    "B",
    [UInt8]((0..<4096).flatMap { _ in UInt8(0)...254 }),
    "a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2",
    "qCxRVKegwmLG/bkpoxdYVkb4+8+AMm0Ke4dH7a8tmdI="
  )
  /// Three bytes.
  public static let dummyData1 = Blob(
    "dummy 1",
    [1, 2, 3],
    "b177ec1bf26dfb3b7010d473e6d44713b29b765b99c6e60ecbfae742de496543",
    "sXfsG/Jt+ztwENRz5tRHE7KbdluZxuYOy/rnQt5JZUM="
  )
  /// Two bytes.
  public static let dummyData2 = Blob(
    "dummy 2",
    [4, 5],
    "5f805527aa94f2a9a3a782cad8cc18b63cf6017e7bc65ca96aeada8392d4c525",
    "X4BVJ6qU8qmjp4LK2MwYtjz2AX57xlypaurag5LUxSU="
  )
  /// A greeting of eleven bytes.
  public static let documentationExample = Blob(
    "documentation example",
    [UInt8]("Hello World".utf8),
    "41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76",
    "Qfg5QRHrcToiFlxGyQq48P2TmckgKP1tKIlEsj/1v3Y="
  )
  /// One byte.
  public static let oneByte = Blob(
    "one byte",
    [1],
    "48fc721fbbc172e0925fa27af1671de225ba927134802998b10a1568a188652b",
    "SPxyH7vBcuCSX6J68Wcd4iW6knE0gCmYsQoVaKGIZSs="
  )

  /// All of them.
  public static let blobs = [
    emptyBlob, helloWorld, blobA, blobB, dummyData1, dummyData2, documentationExample, oneByte,
  ]

  /// A digest that nothing in the tests has: zeros.
  public static let dummyDigest = B3Digest(hex: String(repeating: "0", count: 64))

  /// A directory with its encoding and digest.
  public struct KnownDirectory: Sendable, CustomTestStringConvertible {
    /// What it is called.
    public let name: String
    /// The directory.
    public let directory: Directory
    /// Its size by the rule `.specified`.
    public let specifiedSize: UInt64
    /// Its size by the rule `.snix`.
    public let snixSize: UInt64
    /// Its canonical encoding; `nil` where none is published.
    public let encoding: [UInt8]?
    /// The BLAKE3 digest of the encoding.
    public let digest: B3Digest

    /// The name.
    public var testDescription: String { name }

    init(
      _ name: String,
      _ directory: Directory,
      sizes: (specified: UInt64, snix: UInt64),
      encoding: String?,
      digest: String
    ) {
      self.name = name
      self.directory = directory
      (specifiedSize, snixSize) = sizes
      self.encoding = encoding.map { bytes(hex: $0) }
      self.digest = B3Digest(hex: digest)
    }
  }

  static let emptyFile = Node.file(digest: emptyBlob.digest, size: 0, isExecutable: false)
  static let emptyHex = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
  static let keepHex = "8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e"
  static let entryAHex = "0a250a01611220" + emptyHex
  static let complicatedTail =
    "12290a052e6b6565701220" + emptyHex
    + "1a1e0a02616112182f6e69782f73746f72652f736f6d657768657265656c7365"

  /// No entries.
  public static let directoryA = KnownDirectory(
    "A",
    Directory(),
    sizes: (0, 0),
    encoding: "",
    digest: emptyHex
  )
  /// One empty file.
  public static let withKeep = KnownDirectory(
    "with keep",
    Directory(fixture: [".keep": emptyFile]),
    sizes: (1, 2),
    encoding: "12290a052e6b6565701220" + emptyHex,
    digest: keepHex
  )
  /// A directory, a file and a link, its child's size by the specified rule.
  public static let complicated = KnownDirectory(
    "complicated",
    complicated(.specified),
    sizes: (4, 7),
    encoding: "0a2a0a046b6565701220" + keepHex + "1801" + complicatedTail,
    digest: "3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a"
  )
  /// A directory, a file and a link, its child's size by the other rule.
  public static let complicatedSnix = KnownDirectory(
    "complicated, as Snix has it",
    complicated(.snix),
    sizes: (5, 8),
    encoding: "0a2a0a046b6565701220" + keepHex + "1802" + complicatedTail,
    digest: "424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb"
  )
  /// A, called a.
  public static let directoryB = KnownDirectory(
    "B",
    Directory(fixture: ["a": directoryA.directory.node()]),
    sizes: (1, 2),
    encoding: entryAHex,
    digest: "8701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc"
  )
  /// A twice.
  public static let directoryC = KnownDirectory(
    "C",
    Directory(fixture: ["a": directoryA.directory.node(), "a'": directoryA.directory.node()]),
    sizes: (2, 4),
    encoding: entryAHex + "0a260a0261271220" + emptyHex,
    digest: "78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803"
  )
  /// A and B, sizes by the specified rule.
  public static let directoryD = KnownDirectory(
    "D",
    Directory(fixture: ["a": directoryA.directory.node(), "b": directoryB.directory.node()]),
    sizes: (3, 5),
    encoding: entryAHex
      + "0a270a016212208701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc1801",
    digest: "99922a5c1801805287a647af73bca0ed7352a5f7f373e54992795bcc4a235213"
  )
  /// A and B, sizes by the other rule.
  public static let directoryDSnix = KnownDirectory(
    "D, as Snix has it",
    Directory(
      fixture: ["a": directoryA.directory.node(), "b": directoryB.directory.node(rule: .snix)]
    ),
    sizes: (4, 6),
    encoding: entryAHex
      + "0a270a016212208701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc1802",
    digest: "76cd8b55b37333961c1778ba997e57df92e219926ae5a66c414b810331a77603"
  )
  /// A file and five links.
  public static let withSymlinks = KnownDirectory(
    "with symlinks",
    Directory(
      fixture: [
        "index.html": .file(
          digest: B3Digest(hex: "293c5a67b2722328177aedb6ad541c8dd7d02e45317a0e1a17147ef535694283"),
          size: 53,
          isExecutable: false
        ),
        "dot": .symlink(target: "."),
        "symlink": .symlink(target: "index.html"),
        "dot_symlink": .symlink(target: "./index.html"),
        "dotdot_symlink": .symlink(target: "../index.htm"),
        "dotdot_same_symlink": .symlink(target: "../nested/index.html"),
      ]
    ),
    sizes: (6, 12),
    encoding: nil,
    digest: "9ab0e05253167373594f33e63ea3ca46119d8dc9b1336b111aba20903ad7a8d5"
  )

  /// All of them.
  public static let directories = [
    directoryA, withKeep, complicated, complicatedSnix, directoryB, directoryC, directoryD,
    directoryDSnix, withSymlinks,
  ]

  private static func complicated(_ rule: DirectorySizeRule) -> Directory {
    Directory(
      fixture: [
        "keep": withKeep.directory.node(rule: rule),
        ".keep": emptyFile,
        "aa": .symlink(target: "/nix/store/somewhereelse"),
      ]
    )
  }
}
