import Castore
import CastoreTestSupport
import Testing

@Suite("Nodes as messages")
struct NodeEncodingTests {
  static let known: [(Node, hex: String, url: String)] = [
    (
      .symlink(target: "/nix/store/somewhereelse"),
      "1a1a12182f6e69782f73746f72652f736f6d657768657265656c7365",
      "GhoSGC9uaXgvc3RvcmUvc29tZXdoZXJlZWxzZQ"
    ),
    (
      .file(digest: Fixtures.helloWorld.digest, size: 12, isExecutable: false),
      "122412205ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c180c",
      "EiQSIFyngVrctITpoTbBHv5pwdUwF21Um10Y0DjrUoC0s0cMGAw"
    ),
    (
      Fixtures.complicated.directory.node(),
      "0a2412203f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a1804",
      "CiQSID-VGhWv1Yb7MSHvTRPVgugRzg5afyHASX_YdJDp4jVaGAQ"
    ),
    (
      Fixtures.complicatedSnix.directory.node(rule: .snix),
      "0a241220424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb1808",
      "CiQSIEJKf2zgjYBdFbQoBi-q6WKZoWddcIw6OSYa_jjN0E_rGAg"
    ),
    (
      .directory(digest: Fixtures.dummyDigest, size: 0),
      "0a221220" + String(repeating: "00", count: 32),
      "CiISIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    ),
  ]

  @Test("known nodes have the known encodings", arguments: known)
  func vectors(node: Node, hex: String, url: String) throws {
    let encoding = node.encoded()
    #expect(encoding == bytes(hex: hex))
    #expect(encoding.withUnsafeBytes { Base64.encode($0, .url) } == url)
    #expect(try Node(canonicalEncoding: encoding) == node)
    // A node under a name is encoded like a directory of one entry.
    let named = NamedNode(name: "name", node: node)
    #expect(try NamedNode(canonicalEncoding: named.encoded()) == named)
    #expect(try Directory(canonicalEncoding: named.encoded()) == Directory([named]))
  }

  @Test("what is not exactly one node is refused")
  func refused() throws {
    let node = Node.symlink(target: "x")
    #expect(throws: DirectoryError.noNodeSet) { try Node(canonicalEncoding: []) }
    #expect(throws: DirectoryError.nameInAnonymousNode([0x6e])) {
      try Node(canonicalEncoding: NamedNode(name: "n", node: node).encoded())
    }
    let error = #expect(throws: DirectoryError.self) {
      try NamedNode(canonicalEncoding: node.encoded())
    }
    #expect(error == .invalidName(PathComponentError(.empty, [])))
    #expect(throws: DirectoryError.malformed(WireError(.repeatedField(3), at: 5))) {
      try Node(canonicalEncoding: node.encoded() + node.encoded())
    }
    #expect(throws: DirectoryError.invalidNode(name: [], .invalidDigestLength(0))) {
      try Node(canonicalEncoding: [0x0a, 0x00])
    }
    #expect(throws: DirectoryError.invalidNode(name: [], .invalidDigestLength(2))) {
      try Node(canonicalEncoding: [0x12, 0x04, 0x12, 0x02, 0x00, 0x42])
    }
    let encoding = node.encoded()
    for end in 0..<encoding.count {
      #expect(throws: DirectoryError.self) {
        try Node(canonicalEncoding: [UInt8](encoding[..<end]))
      }
    }
  }
}
