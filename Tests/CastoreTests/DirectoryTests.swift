import Castore
import Testing

@Suite("Directory")
struct DirectoryTests {
  @Test("the empty directory encodes to nothing")
  func empty() throws {
    #expect(Directory().encoded().isEmpty)
    #expect(
      Directory().digest.formatted(.hex)
        == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    )
    let keep = try Directory([
      NamedNode(
        name: PathComponent(".keep"),
        node: .file(digest: B3Digest(hashing: []), size: 0, isExecutable: false)
      )
    ])
    #expect(
      keep.digest.formatted(.hex)
        == "8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e"
    )
    #expect(try Directory(canonicalEncoding: keep.encoded()) == keep)
  }
}
