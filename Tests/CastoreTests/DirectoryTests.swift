import Castore
import CastoreTestSupport
import Testing

@Suite("Directory")
struct DirectoryTests {
  @Test("known directories have the known encodings, digests and sizes", arguments: Fixtures.directories)
  func vectors(known: Fixtures.KnownDirectory) throws {
    #expect(known.directory.digest == known.digest)
    if let encoding = known.encoding {
      #expect(known.directory.encoded() == encoding)
      #expect(try Directory(canonicalEncoding: encoding) == known.directory)
    }
    #expect(known.directory.size(rule: .specified) == known.specifiedSize)
    #expect(known.directory.size(rule: .snix) == known.snixSize)
  }
}
