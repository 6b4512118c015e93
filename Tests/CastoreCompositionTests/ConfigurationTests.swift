import Castore
import CastoreComposition
import Testing

@Suite("Service URLs and composition files")
struct ConfigurationTests {
  @Test(
    "memory URLs",
    arguments: [
      ("memory:", true), ("memory://", true), ("memory://foo", false), ("memory:///", false),
      ("memory:///foo", false), ("memory:foo", false), ("memory://?x=1", false),
      ("http://foo.example/test", false), ("nothing", false), (":", false), ("", false),
    ]
  )
  func memory(url: String, isValid: Bool) async throws {
    let registry = ServiceRegistry.standard
    if isValid {
      let opened = try await registry.open(url)
      #expect(opened.blobs != nil && opened.directories != nil)
    } else {
      await #expect {
        _ = try await registry.open(url)
      } throws: { error in
        let error = error as? ServiceError
        return error?.code == .invalidArgument && error?.message.contains("expected") == true
      }
    }
  }

  @Test("the parts of a URL")
  func parts() throws {
    let url = try ServiceURL("s3+x://[::1]:80/a%20b?k=v%26&l")
    #expect(url.scheme == "s3+x" && url.host == "::1" && url.port == 80 && url.path == "/a b")
    #expect(try url.parameters(["k", "l"]) == ["k": "v&", "l": ""])
    #expect(throws: ServiceError.self) { try url.parameters(["k"]) }
    #expect(try ServiceURL("local:/a?b#c").path == "/a?b#c")
    for wrong in ["a://h:x", "a://[::1", "a://::1:8/", "a://h/%2", "a://h/%zz", "a://h:70000"] {
      #expect(throws: ServiceError.self, "\(wrong)") { try ServiceURL(wrong) }
    }
  }

  @Test("a file of existing projects")
  func existing() async throws {
    let file = try CompositionFile(
      toml: """
        [blobservices.near]
        type = "memory"
        [blobservices.far]
        type = "memory"
        [blobservices.default]
        type = "combined"
        local = "near"
        remote = "far"
        [directoryservices.root]
        type = "cache"
        near = "lru"
        far = "memory:"
        [directoryservices.lru]
        type = "lru"
        capacity = 10
        """,
      name: "test.toml"
    )
    let opened = try await Composition(file).entry()
    #expect(opened.blobs is CachingBlobService)
    #expect(opened.directories is CachingDirectoryService)
  }

  @Test("a service that is referred to twice is one service")
  func shared() async throws {
    let made = MemoryBlobService()
    var registry = ServiceRegistry.standard
    registry.add(ServiceKinds.blobs, type: "once") { (_, scope) async throws(ServiceError) in made }
    let file = try CompositionFile(
      toml: """
        blobservices.a.type = "memory"
        [blobservices.root]
        type = "cache"
        near = "a"
        far = "a"
        """,
      name: "test.toml"
    )
    let blobs = try #require(try await Composition(file, registry: registry).entry().blobs)
    let writer = try await blobs.openWrite()
    try await writer.write([1])
    _ = try await writer.close()
    #expect(try await blobs.has(B3Digest(hashing: [1])))
  }

  @Test(
    "what is wrong with a file is told",
    arguments: [
      ("[blobservices.root]\ntype = \"nothing\"", "unknown type \"nothing\""),
      ("[blobservices.root]\ntype = \"memory\"\nx = 1", "unknown field \"x\""),
      ("[blobservices.root]\nx = 1", "needs the field type"),
      ("[blobservices.other]\ntype = \"memory\"", "none called root"),
      ("[services.root]\ntype = \"memory\"", "unknown table \"services\""),
      ("[blobservices.root]\ntype = \"cache\"\nnear = \"a\"\nfar = \"b\"", "[blobservices.a]"),
      ("[blobservices.root]\ntype = \"cache\"\nfar = \"b\"", "needs the field near"),
      ("[blobservices.root]\ntype = \"cache\"\nnear = 1\nfar = \"b\"", "expected text"),
      (
        "[blobservices.root]\ntype = \"readonly\"\ninner = \"a\"\n"
          + "[blobservices.a]\ntype = \"readonly\"\ninner = \"root\"",
        "root -> a -> root"
      ),
      ("[directoryservices.root]\ntype = \"lru\"\ncapacity = 0", "at least 1"),
      ("[blobservices.root", "test.toml:1:"),
      ("blobservices = 1", "not a table"),
    ]
  )
  func mistakes(toml: String, complaint: String) async throws {
    await #expect {
      let file = try CompositionFile(toml: toml, name: "test.toml")
      _ = try await Composition(file).entry()
    } throws: { error in
      let message = (error as? ServiceError)?.message ?? ""
      if !message.contains(complaint) { Issue.record("\(message)") }
      return message.contains(complaint)
    }
  }

  @Test("a read-only store takes nothing")
  func readOnly() async throws {
    await #expect(throws: ServiceError.self) {
      try await ReadOnlyBlobService(MemoryBlobService()).openWrite()
    }
    await #expect(throws: ServiceError.self) {
      try await ReadOnlyDirectoryService(MemoryDirectoryService()).put(Directory())
    }
  }
}
