import CLinux
import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Testing

@Suite("Digests as extended attributes")
struct ExtendedAttributeTests {
  @Test(
    "files and directories show one attribute, links and the root none",
    arguments: [
      FileSystemOptions.ExtendedAttributeNamespace.tvix, .snix,
    ],
    RootsKind.allCases
  )
  func shown(
    namespace: FileSystemOptions.ExtendedAttributeNamespace,
    kind: RootsKind
  ) async throws {
    var options = FileSystemOptions()
    options.extendedAttributes = namespace
    let fixture = try MountedFixture(rootsKind: kind, options: options)
    try await fixture.populate()
    let family = namespace.rawValue
    let prefix = namespace == .tvix ? "b3:" : "blake3-"
    let file = fixture.path + "/" + Names.blobA
    let directory = fixture.path + "/" + Names.withKeep
    try await onThread { () throws in
      let blob = "user.\(family).castore.blob.digest"
      #expect(try list(file) == [blob])
      #expect(try list(directory) == ["user.\(family).castore.directory.digest"])
      #expect(try list(fixture.path + "/" + Names.symlink2) == [])
      #expect(try list(fixture.path) == [])
      let text = prefix + Fixtures.blobA.base64
      #expect(try get(file, blob, room: 100) == text)
      #expect(lgetxattr(file, blob, nil, 0) == text.utf8.count)
      #expect(throws: CallError(code: ERANGE)) { try get(file, blob, room: 10) }
      #expect(throws: CallError(code: ENODATA)) { try get(file, "user.other", room: 100) }
      #expect(throws: CallError(code: ENODATA)) { try get(directory, blob, room: 100) }
    }
  }

  @Test("switched off, lists are empty as on other file systems, and values asked for once")
  func off() async throws {
    let fixture = try MountedFixture()
    try await fixture.populate()
    try await onThread { () throws in
      for _ in 0..<20 {
        #expect(throws: CallError(code: EOPNOTSUPP)) {
          try get(fixture.path + "/" + Names.blobA, "user.x", room: 10)
        }
        for name in ["/" + Names.blobA, "/" + Names.withKeep, "/" + Names.symlink2, ""] {
          #expect(try list(fixture.path + name) == [])
          #expect(llistxattr(fixture.path + name, nil, 0) == 0)
        }
      }
    }
    #expect(fixture.mount.session.requestCounts[.getxattr] <= 1)
  }
}

private func get(_ path: String, _ name: String, room: Int) throws -> String {
  var buffer = [UInt8](repeating: 0, count: room)
  let count = lgetxattr(path, name, &buffer, room)
  guard count >= 0 else { throw CallError(code: errno) }
  return String(decoding: buffer[..<count], as: UTF8.self)
}

private func list(_ path: String) throws -> [String] {
  var buffer = [CChar](repeating: 0, count: 1000)
  let count = llistxattr(path, &buffer, 1000)
  guard count >= 0 else { throw CallError(code: errno) }
  return buffer[..<count].split(separator: 0).map {
    String(decoding: $0.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
