import Castore
import CastoreTestSupport
import Testing

@Suite("Paths")
struct CastorePathTests {
  @Test(
    "paths are read",
    arguments: [
      ("", 0), ("a", 1), ("a/b", 2), ("a/b/c", 3), (#"C:\a/b"#, 2), (#"\\snix-store"#, 1),
    ]
  )
  func accepted(text: String, count: Int) throws {
    let path = try CastorePath(text)
    #expect(path.components.count == count)
    #expect(path.bytes == [UInt8](text.utf8))
    #expect(path.isRoot == (count == 0))
  }

  @Test(
    "anything but names with one slash between is refused",
    arguments: [
      "/a/b", "//a/b", "a/b//c/d", "a/b/", ".", "..", "./a", "../a", "a/./b", "a/../b", "a/b/.",
      "a/b/..", "/", "//", "é//",
    ]
  )
  func refused(text: String) {
    #expect(throws: PathComponentError.self) { try CastorePath(text) }
  }

  @Test("a NUL byte is refused")
  func null() {
    #expect(throws: PathComponentError.self) { try CastorePath([UInt8]("fo\0o".utf8)) }
  }

  @Test("parents and last names")
  func parents() {
    let cases: [(CastorePath, CastorePath)] = [
      ("foo", ""), ("foo/bar", "foo"), ("foo2/bar2", "foo2"), ("foo/bar/baz", "foo/bar"),
    ]
    for (path, parent) in cases { #expect(path.parent == parent) }
    #expect(CastorePath.root.parent == nil)
    #expect(CastorePath.root.lastComponent == nil)
    #expect(("foo/bar" as CastorePath).lastComponent == "bar")
  }

  @Test("joining takes one name", arguments: ["/", "", "b/c", ".", ".."])
  func joining(name: String) throws {
    let path: CastorePath = "a"
    #expect(throws: PathComponentError.self) { try path.joined([UInt8](name.utf8)) }
    #expect(try path.joined([UInt8]("b".utf8)) == "a/b")
    #expect(CastorePath.root.appending("b") == "b")
  }

  @Test("paths of this machine are cleaned")
  func hostPaths() throws {
    let always = [
      ("", ""), ("a//b", "a/b"), (".", ""), ("./a/b", "a/b"), ("a/./b", "a/b"), ("a/b/.", "a/b"),
      ("a/b/", "a/b"), (#"\\nix-store"#, #"\\nix-store"#), (#"C:\foo.txt"#, #"C:\foo.txt"#),
    ]
    for (text, expected) in always {
      for resolving in [false, true] {
        let path = try CastorePath(hostPath: text, resolvingParents: resolving)
        #expect(path.bytes == [UInt8](expected.utf8))
      }
    }
    #expect(try CastorePath(hostPath: "a/..", resolvingParents: true) == .root)
    #expect(try CastorePath(hostPath: "a/../b", resolvingParents: true) == "b")
  }

  @Test("paths of this machine that lead elsewhere are refused")
  func refusedHostPaths() {
    for resolving in [false, true] {
      #expect(throws: CastorePathError.absolute) {
        try CastorePath(hostPath: "/", resolvingParents: resolving)
      }
      #expect(throws: CastorePathError.self) {
        try CastorePath(hostPath: "foo/bar\0", resolvingParents: resolving)
      }
    }
    #expect(throws: CastorePathError.parentReference) { try CastorePath(hostPath: "..") }
    #expect(throws: CastorePathError.parentReference) { try CastorePath(hostPath: "a/..") }
    for text in ["..", "a/../..", "./.."] {
      #expect(throws: CastorePathError.escapesRoot) {
        try CastorePath(hostPath: text, resolvingParents: true)
      }
    }
  }
}
