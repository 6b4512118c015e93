import Castore
import CastoreTestSupport
import Testing

private typealias Write = MessageWriter

@Suite("Strict decoding of directories")
struct StrictDecodingTests {
  private func expectRefused(
    _ bytes: [UInt8],
    as expected: DirectoryError,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: expected, sourceLocation: sourceLocation) {
      try Directory(canonicalEncoding: bytes)
    }
    #expect(throws: expected, sourceLocation: sourceLocation) {
      try DirectoryIndex(canonicalEncoding: bytes)
    }
  }

  private func expectMalformed(
    _ bytes: [UInt8],
    _ reason: WireError.Reason,
    at offset: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = DirectoryError.malformed(WireError(reason, at: offset))
    expectRefused(bytes, as: error, sourceLocation: sourceLocation)
  }

  @Test("invalid names are refused")
  func names() {
    func name(_ text: String, _ reason: PathComponentError.Reason) -> DirectoryError {
      .invalidName(PathComponentError(reason, text.utf8))
    }
    expectRefused(Write.directory("\0"), as: name("\0", .null))
    expectRefused(Write.directory("."), as: name(".", .currentDirectory))
    expectRefused(Write.file(".."), as: name("..", .parent))
    expectRefused(Write.symlink("\0"), as: name("\0", .null))
    expectRefused(Write.symlink("foo/bar"), as: name("foo/bar", .slashes))
    let long = String(repeating: "X", count: 500)
    expectRefused(Write.symlink(long), as: name(long, .tooLong))
    let justTooLong = String(repeating: "X", count: 256)
    expectRefused(Write.file(justTooLong), as: name(justTooLong, .tooLong))
    expectRefused(Write.field(2, Write.field(2, Write.digest)), as: name("", .empty))
  }

  @Test("invalid digests and targets are refused")
  func nodes() {
    func node(_ error: NodeError) -> DirectoryError { .invalidNode(name: [0x61], error) }
    expectRefused(Write.directory("a", digest: [0, 0x42]), as: node(.invalidDigestLength(2)))
    expectRefused(
      Write.file("a", digest: Write.digest + [1]),
      as: node(.invalidDigestLength(33))
    )
    expectRefused(
      Write.field(2, Write.field(1, [0x61])),
      as: node(.invalidDigestLength(0))
    )
    expectRefused(
      Write.symlink("a", target: ""),
      as: node(.invalidSymlinkTarget(SymlinkTargetError(.empty, [])))
    )
    expectRefused(
      Write.symlink("a", target: "x\0"),
      as: node(.invalidSymlinkTarget(SymlinkTargetError(.null, [0x78, 0])))
    )
    let long = String(repeating: "X", count: 4096)
    expectRefused(
      Write.symlink("a", target: long),
      as: node(.invalidSymlinkTarget(SymlinkTargetError(.tooLong, long.utf8)))
    )
  }

  @Test("wrong sorting and duplicates are refused")
  func sorting() throws {
    for entry in [{ Write.directory($0) }, { Write.file($0) }, { Write.symlink($0) }]
      as [(String) -> [UInt8]]
    {
      expectRefused(entry("b") + entry("a"), as: .wrongSorting([0x61]))
      expectRefused(entry("a") + entry("a"), as: .duplicateName([0x61]))
      #expect(try Directory(canonicalEncoding: entry("a") + entry("b")).entries.count == 2)
    }
    expectRefused(Write.directory("a") + Write.symlink("a"), as: .duplicateName([0x61]))
    expectRefused(Write.directory("a") + Write.file("a"), as: .duplicateName([0x61]))
    expectRefused(Write.file("a") + Write.symlink("a"), as: .duplicateName([0x61]))
    expectRefused(
      Write.directory("a") + Write.directory("c") + Write.file("b") + Write.symlink("0")
        + Write.symlink("c"),
      as: .duplicateName([0x63])
    )
    // Different lists may interleave.
    let mixed =
      Write.directory("b") + Write.directory("e") + Write.file("a") + Write.file("d")
      + Write.symlink("c") + Write.symlink("f")
    let directory = try Directory(canonicalEncoding: mixed)
    #expect(directory.entries.map(\.name) == ["a", "b", "c", "d", "e", "f"])
    #expect(directory.encoded() == mixed)
  }

  @Test("sizes that add up to too much are refused")
  func sizes() throws {
    expectRefused(Write.directory("a", size: .max), as: .sizeOverflow)
    let half = UInt64.max / 2
    expectRefused(
      Write.directory("a", size: half) + Write.directory("b", size: half),
      as: .sizeOverflow
    )
    let greatest = try Directory(canonicalEncoding: Write.directory("a", size: .max - 1))
    #expect(greatest.size() == .max)
    expectRefused(
      Write.directory("a", size: .max - 1) + Write.symlink("b"),
      as: .sizeOverflow
    )
  }

  @Test("everything that is not in canonical form is refused")
  func form() {
    let name = Write.field(1, [0x61])
    let digest = Write.field(2, Write.digest)
    let size = Write.field(3, UInt64(5))
    let bit = Write.field(4, UInt64(1))
    func file(_ fields: [UInt8]...) -> [UInt8] { Write.field(2, fields.flatMap(\.self)) }

    // Order of lists and of fields.
    expectMalformed(Write.file("a") + Write.directory("b"), .fieldOutOfOrder(1), at: 41)
    expectMalformed(Write.symlink("a") + Write.file("b"), .fieldOutOfOrder(2), at: 8)
    expectMalformed(file(digest, name), .fieldOutOfOrder(1), at: 36)
    expectMalformed(file(name, size, digest), .fieldOutOfOrder(2), at: 7)
    expectMalformed(file(name, digest, bit, size), .fieldOutOfOrder(3), at: 41)
    // Repeated fields.
    expectMalformed(file(name, name, digest), .repeatedField(1), at: 5)
    expectMalformed(file(name, digest, digest), .repeatedField(2), at: 39)
    expectMalformed(file(name, digest, size, size), .repeatedField(3), at: 41)
    expectMalformed(file(name, digest, bit, bit), .repeatedField(4), at: 41)
    // Defaults that are written.
    expectMalformed(file(Write.field(1, []), digest), .explicitDefault(1), at: 2)
    expectMalformed(file(name, Write.field(2, [])), .explicitDefault(2), at: 5)
    expectMalformed(file(name, digest, Write.field(3, UInt64(0))), .explicitDefault(3), at: 39)
    expectMalformed(file(name, digest, Write.field(4, UInt64(0))), .explicitDefault(4), at: 39)
    // A truth value of 2.
    expectMalformed(file(name, digest, Write.field(4, UInt64(2))), .invalidBool, at: 39)
    // Unknown fields, at both levels, and known ones of another type.
    expectMalformed(file(name, digest, Write.field(5, UInt64(1))), .unknownField(5), at: 39)
    expectMalformed(file(name, digest, Write.field(5, [1])), .unknownField(5), at: 39)
    expectMalformed(Write.field(4, [UInt8]()), .unknownField(4), at: 0)
    expectMalformed(Write.field(1, UInt64(3)), .unknownField(1), at: 0)
    expectMalformed(file(Write.field(1, UInt64(3))), .unknownField(1), at: 2)
    expectMalformed([0x02, 0x00], .unknownField(0), at: 0)
    expectMalformed(file([0x00, 0x00]), .unknownField(0), at: 2)
    expectMalformed(file(name, [0x02, 0x00]), .unknownField(0), at: 5)
    expectMalformed([0x0b, 0x0c], .unknownField(1), at: 0)
    expectMalformed(Write.varint(.max), .unknownField(.max >> 3), at: 0)
    expectMalformed(Write.varint(258 << 3 | 2) + [0], .unknownField(258), at: 0)
    // A directory or link cannot be executable, a link has no size.
    expectMalformed(Write.field(1, name + digest + bit), .unknownField(4), at: 39)
    expectMalformed(Write.field(3, name + Write.field(3, UInt64(1))), .unknownField(3), at: 5)
  }

  @Test("numbers that are too long or too large are refused")
  func numbers() throws {
    let head = Write.field(1, [0x61]) + Write.field(2, Write.digest)
    func sized(_ number: [UInt8]) -> [UInt8] { Write.field(2, head + [0x18] + number) }
    let ones = [UInt8](repeating: 0xff, count: 9)
    #expect(try Directory(canonicalEncoding: sized(ones + [0x01])).entries.count == 1)
    #expect(try Directory(canonicalEncoding: sized(ones + [0x01])).size() == 1)
    expectMalformed(sized(ones + [0x02]), .numberTooLarge, at: 40)
    expectMalformed(sized(ones + [0x81, 0x00]), .numberTooLarge, at: 40)
    expectMalformed(sized(ones + [0xff, 0x01]), .numberTooLarge, at: 40)
    expectMalformed(sized([0x85, 0x00]), .numberNotMinimal, at: 40)
    expectMalformed(sized([0x80, 0x00]), .numberNotMinimal, at: 40)
    expectMalformed(sized([0x80, 0x80, 0x00]), .numberNotMinimal, at: 40)
    expectMalformed(sized(ones + [0x00]), .numberNotMinimal, at: 40)
    expectMalformed(sized([0x80]), .truncated, at: 40)
    // The same in tags and lengths.
    expectMalformed([0x92, 0x00, 0x00], .numberNotMinimal, at: 0)
    expectMalformed([0x12, 0x80, 0x00], .numberNotMinimal, at: 1)
    expectMalformed([0x12] + ones + [0x01], .truncated, at: 1)
    expectMalformed([0x12, 0x02, 0x0a, 0x7f], .truncated, at: 3)
    expectMalformed([0x12, 0x02, 0x0a], .truncated, at: 1)
    // A length that would reach past the entry, into the next one.
    let entry = Write.file("a")
    expectMalformed([0x12, 0x03, 0x0a, 0x02, 0x61] + entry, .truncated, at: 3)
  }

  @Test("errors say what is wrong and where")
  func descriptions() {
    let error = DirectoryError.malformed(WireError(.repeatedField(3), at: 40))
    #expect(error.description == "not in canonical encoding: field 3 is repeated (at byte 40)")
    let name = DirectoryError.invalidNode(name: [0x0a, 0xff], .invalidDigestLength(2))
    #expect(name.description == #"entry "\n\xff": a BLAKE3 digest has 32 bytes, got 2"#)
  }
}
