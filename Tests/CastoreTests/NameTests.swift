import Castore
import CastoreTestSupport
import Testing

@Suite("Names and link targets")
struct NameTests {
  static let refusedNames: [([UInt8], PathComponentError.Reason)] = [
    ([], .empty),
    ([UInt8]("..".utf8), .parent),
    ([UInt8](".".utf8), .currentDirectory),
    ([UInt8](repeating: 0x58, count: 256), .tooLong),
    ([UInt8](repeating: 0x58, count: 500), .tooLong),
    // The length is looked at before the bytes.
    ([UInt8](repeating: 0, count: 256), .tooLong),
    ([UInt8]("foo\0".utf8), .null),
    ([0], .null),
    // NUL is looked for before slashes.
    ([UInt8]("/\0".utf8), .null),
    ([UInt8]("a/b".utf8), .slashes),
    ([UInt8]("/".utf8), .slashes),
  ]

  @Test("names that break a rule are refused, however they come", arguments: refusedNames)
  func refused(bytes: [UInt8], reason: PathComponentError.Reason) {
    func expectRefused(_ make: () throws -> PathComponent) {
      let error = #expect(throws: PathComponentError.self) { try make() }
      #expect(error?.reason == reason)
      #expect(error?.bytes == bytes)
    }
    expectRefused { try PathComponent(bytes) }
    expectRefused { try PathComponent(bytes.span.bytes) }
    expectRefused { try bytes.withUnsafeBytes { try PathComponent($0) } }
    expectRefused { try PathComponent(String(decoding: bytes, as: UTF8.self)) }
  }

  @Test("every other name of 1 to 255 bytes is taken")
  func accepted() throws {
    let names: [[UInt8]] = [
      [UInt8]("aa".utf8), [UInt8]("...".utf8), [UInt8](".a".utf8), [UInt8]("..a".utf8), [0xff],
      [0x0a], [UInt8](repeating: 0x58, count: 255), [1], [UInt8]("\\".utf8),
    ]
    for bytes in names {
      #expect(try PathComponent(bytes).bytes == bytes)
      #expect(try PathComponent(bytes.span.bytes).bytes == bytes)
      #expect(try bytes.withUnsafeBytes { try PathComponent($0) }.bytes == bytes)
    }
  }

  @Test("names are ordered by their bytes")
  func order() throws {
    let ascending: [[UInt8]] = [
      [0x01], [0x2e, 0x61], [0x41], [0x61], [0x61, 0x01], [0x61, 0x61], [0x62], [0x7f], [0x80],
      [0xff],
    ]
    let names = try ascending.map { try PathComponent($0) }
    for (left, first) in names.enumerated() {
      for (right, second) in names.enumerated() {
        #expect((first < second) == (left < right))
      }
    }
  }

  @Test("a name can be shown without harm")
  func description() throws {
    func shown(_ bytes: [UInt8]) throws -> String { try PathComponent(bytes).description }
    #expect(try shown([UInt8]("plain ü 日本".utf8)) == "plain ü 日本")
    #expect(try shown([UInt8]("a\nb\tc\r\u{1b}[2J".utf8)) == #"a\nb\tc\r\x1b[2J"#)
    #expect(try shown([0x61, 0xff, 0xc3, 0x62]) == #"a\xff\xc3b"#)
    #expect(try shown([0xe6, 0x97]) == #"\xe6\x97"#)
    #expect(try shown([UInt8](#"a"\"#.utf8)) == #"a\"\\"#)
    #expect(try shown([UInt8]("\u{202e}gpj.exe\u{7f}\u{85}".utf8)) == #"\u{202e}gpj.exe\x7f\u{85}"#)
  }

  @Test("the extension stands after the last dot")
  func fileExtension() {
    func fileExtension(_ name: PathComponent) -> String? {
      name.fileExtension.map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(fileExtension("foo") == nil)
    #expect(fileExtension("foo.txt") == "txt")
    #expect(fileExtension("foo.") == "")
    #expect(fileExtension("foo.bar.txt") == "txt")
  }

  static let refusedTargets: [([UInt8], SymlinkTargetError.Reason)] = [
    ([], .empty),
    ([UInt8]("foo\0".utf8), .null),
    ([UInt8](repeating: 0x58, count: 4096), .tooLong),
    ([UInt8](repeating: 0x58, count: 5000), .tooLong),
  ]

  @Test("link targets that break a rule are refused, however they come", arguments: refusedTargets)
  func refusedTarget(bytes: [UInt8], reason: SymlinkTargetError.Reason) {
    func expectRefused(_ make: () throws -> SymlinkTarget) {
      let error = #expect(throws: SymlinkTargetError.self) { try make() }
      #expect(error?.reason == reason)
    }
    expectRefused { try SymlinkTarget(bytes) }
    expectRefused { try SymlinkTarget(bytes.span.bytes) }
    expectRefused { try bytes.withUnsafeBytes { try SymlinkTarget($0) } }
    expectRefused { try SymlinkTarget(String(decoding: bytes, as: UTF8.self)) }
  }

  @Test("every other link target of 1 to 4095 bytes is taken")
  func acceptedTargets() throws {
    for text in ["aa", ".", "./..", "..", "a/b", "/a/b", "/"] {
      #expect(try SymlinkTarget(text).bytes == [UInt8](text.utf8))
    }
    #expect(try SymlinkTarget([0xc5, 0xc4, 0xd6]).bytes == [0xc5, 0xc4, 0xd6])
    #expect(try SymlinkTarget([UInt8](repeating: 0x58, count: 4095)).bytes.count == 4095)
  }
}
