import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Testing

@Suite("Places, names and what the kernel asks", .serialized)
struct PlacesTests {
  @Test("a process stays where it is when the same directory is looked at elsewhere")
  func twoPlaces() async throws {
    let fixture = try MountedFixture()
    let shared = try await fixture.addDirectory([
      ("inside", try await fixture.addFile([1]))
    ])
    try await fixture.set("top", try await fixture.addDirectory([("a", shared), ("b", shared)]))
    let top = fixture.path + "/top"
    // A process of its own, whose working directory is one of the two places.
    let output = try await onThread { () throws -> [String] in
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = [
        "-c",
        """
        cd "$1/a"
        for i in 1 2 3; do ls -l "$1/b/inside" "$1/a/inside" >/dev/null; stat "$1/b" >/dev/null; done
        /bin/pwd -P; readlink /proc/self/cwd
        stat -c %i "$1/a"; stat -c %i "$1/b"
        """, "_", top,
      ]
      let pipe = Pipe()
      process.standardOutput = pipe
      try process.run()
      let data = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
    }
    #expect(output.count == 4)
    #expect(output[0] == top + "/a" && output[1] == top + "/a")
    #expect(output[2] == output[3])
  }

  @Test("a root that is added, re-pointed or removed shows within its time")
  func changingRoots() async throws {
    var options = FileSystemOptions()
    options.rootValidity = .none
    let fixture = try MountedFixture(options: options)
    let one = try await fixture.addDirectory([("one", try await fixture.addFile([1]))])
    let two = try await fixture.addDirectory([("two", try await fixture.addFile([2]))])
    let path = fixture.path
    #expect(try await onThread { try names(path) } == [])
    try await fixture.set("root", one)
    #expect(try await onThread { try names(path) } == ["root"])
    #expect(try await onThread { try names(path + "/root") } == ["one"])
    try await fixture.set("root", two)
    #expect(try await onThread { try names(path + "/root") } == ["two"])
    try await fixture.set("root", nil)
    #expect(try await onThread { try names(path) } == [])
    await #expect(throws: CallError(code: ENOENT)) {
      try await onThread { try lstat(path + "/root") }
    }
  }

  @Test("100,000 roots are listed whole, without loss or repetition")
  func manyRoots() async throws {
    let fixture = try MountedFixture()
    let count = 100_000
    for number in 0..<count {
      try await fixture.set("root-\(number)", .symlink(target: SymlinkTarget("\(number)")))
    }
    let listed = try await onThread { try names(fixture.path) }
    #expect(listed.count == count)
    #expect(Set(listed).count == count)
  }

  @Test("what was walked once is walked again without asking")
  func secondWalk() async throws {
    let fixture = try MountedFixture()
    var directories: [(String, Node)] = []
    for number in 0..<40 {
      var files: [(String, Node)] = []
      for file in 0..<50 {
        files.append(("file-\(file)", try await fixture.addFile([UInt8(number), UInt8(file)])))
      }
      directories.append(("directory-\(number)", try await fixture.addDirectory(files)))
    }
    try await fixture.set("tree", try await fixture.addDirectory(directories))
    let path = fixture.path + "/tree"
    let walk: @Sendable () throws -> Int = { () throws in
      var count = 0
      for directory in try names(path) {
        for file in try names(path + "/" + directory) {
          #expect(try lstat("\(path)/\(directory)/\(file)").st_size == 2)
          count += 1
        }
      }
      // Misses are remembered, too.
      for _ in 0..<10 { #expect((try? lstat(path + "/directory-1/missing")) == nil) }
      return count
    }
    #expect(try await onThread(walk) == 2000)
    let first = fixture.mount.session.requestCounts
    // A directory costs one request for its entries, one for the end; nothing for each file.
    #expect(first.total < 41 * 4 + 20)
    #expect(try await onThread(walk) == 2000)
    let second = fixture.mount.session.requestCounts - first
    #expect(second.total <= 5, "\(second)")
  }

  @Test("the kernel's nodes are counted, and given back")
  func nodesAreGivenBack() async throws {
    let fixture = try MountedFixture()
    var files: [(String, Node)] = []
    for number in 0..<3000 {
      files.append(("file-\(number)", try await fixture.addFile([UInt8]("\(number)".utf8))))
    }
    try await fixture.set("tree", try await fixture.addDirectory(files))
    try await onThread { () throws in
      for name in try names(fixture.path + "/tree") {
        _ = try lstat(fixture.path + "/tree/" + name)
      }
    }
    #expect(fixture.fileSystem.nodeCount == 3001)
    try await onThread { () throws in
      let file = open("/proc/sys/vm/drop_caches", O_WRONLY)
      defer { close(file) }
      _ = write(file, "2\n", 2)
    }
    // The kernel sends what it forgets when it comes to it.
    for _ in 0..<200 where fixture.fileSystem.nodeCount > 300 {
      try await Task.sleep(for: .milliseconds(50))
    }
    #expect(fixture.fileSystem.nodeCount <= 300)
    #expect(try await onThread { try names(fixture.path + "/tree") }.count == 3000)
  }
}
