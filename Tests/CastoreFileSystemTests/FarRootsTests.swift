import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Glibc
import Testing

@Suite("A store whose names are out of reach for a while", .serialized)
struct FarRootsTests {
  /// Long enough for a name to be asked for again.
  private func expire() async throws { try await Task.sleep(for: .milliseconds(30)) }

  private func fixture(patience: Duration) async throws -> (MountedFixture, FarRoots) {
    let roots = FarRoots()
    var options = FileSystemOptions()
    options.rootValidity = Validity(seconds: 0, nanoseconds: 10_000_000)
    options.rootPatience = patience
    let fixture = try MountedFixture(roots: roots, options: options)
    let file = try await fixture.addFile([1, 2, 3])
    let inner = try await fixture.addDirectory([("file", file)])
    try roots.set("tree", try await fixture.addDirectory([("inner", inner), ("file", file)]))
    try roots.set("file", file)
    return (fixture, roots)
  }

  @Test("what is mounted below stays, and who works there stays, until the store says otherwise")
  func submount() async throws {
    let (fixture, roots) = try await fixture(patience: .milliseconds(200))
    let path = fixture.path
    let inner = path + "/tree/inner"
    try await onThread { () throws in
      #expect(mount("below", inner, "tmpfs", 0, nil) == 0)
      try Data([7]).write(to: URL(fileURLWithPath: inner + "/new"))
    }
    defer { umount2(inner, CInt(MNT_DETACH)) }
    let place = open(path + "/tree", O_RDONLY | O_DIRECTORY)
    defer { close(place) }
    #expect(place >= 0)
    #expect(try await onThread { try readFile(path + "/file") } == [1, 2, 3])
    roots.isReachable = false
    for _ in 0..<3 {
      try await expire()
      #expect(try await onThread { try readFile(inner + "/new") } == [7])
      #expect(try await onThread { try readFile(path + "/tree/file") } == [1, 2, 3])
      #expect(try await onThread { try readFile(path + "/file") } == [1, 2, 3])
      let link = try FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/self/fd/\(place)"
      )
      #expect(link == path + "/tree")
    }
    // What was never seen cannot be had.
    await #expect(throws: CallError(code: EIO)) {
      try await onThread { try readFile(path + "/unseen") }
    }
    let table = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    #expect(table.contains(" \(inner) "))
    roots.isReachable = true
    // The store answers again, with another tree: then the old one goes.
    try roots.set("tree", try await fixture.addFile([9]))
    var isGone = false
    while !isGone {
      try await expire()
      isGone = (try? await onThread { try readFile(path + "/tree") }) == [9]
    }
    #expect(
      try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).contains(inner) == false
    )
    try roots.set("file", nil)
    while (try? await onThread { try lstat(path + "/file") }) != nil { try await expire() }
    // What the store says is gone is not known any more.
    roots.isReachable = false
    await #expect(throws: CallError(code: EIO)) {
      try await expire()
      return try await onThread { try readFile(path + "/file") }
    }
  }

  @Test("a store that does not answer is not waited for about each name that is known")
  func silence() async throws {
    let (fixture, roots) = try await fixture(patience: .seconds(3600))
    let path = fixture.path
    let read: @Sendable () throws -> Void = { () throws in
      #expect(try readFile(path + "/file") == [1, 2, 3])
      #expect(try readFile(path + "/tree/file") == [1, 2, 3])
    }
    try await onThread(read)
    roots.isReachable = false
    try await expire()
    try await onThread(read)
    // Once it has said nothing, none of them is asked for.
    let before = roots.lookups
    for _ in 0..<5 {
      try await expire()
      try await onThread(read)
    }
    #expect(roots.lookups == before)
  }

  @Test("a store that hangs holds up a known name for a bounded time, and no other")
  func stuck() async throws {
    let (fixture, roots) = try await fixture(patience: .milliseconds(300))
    let path = fixture.path
    let inner = path + "/tree/inner/file"
    #expect(try await onThread { try readFile(inner) } == [1, 2, 3])
    roots.isStuck = true
    defer { roots.isStuck = false }
    for _ in 0..<3 {
      try await expire()
      #expect(try await onThread { try readFile(inner) } == [1, 2, 3])
    }
  }
}
