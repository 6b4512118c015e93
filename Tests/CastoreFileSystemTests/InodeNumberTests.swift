import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Testing

@Suite("Inode numbers and times")
struct InodeNumberTests {
  /// What `stat` and listings show of everything below a folder, by path.
  private struct Seen: Equatable {
    var inode: UInt
    var listed: UInt
    var seconds: Int
    var nanoseconds: Int
  }

  private static let paths = [
    "top", "top/a", "top/a/file", "top/a/inner", "top/a/inner/link", "top/b", "top/b/file",
    "top/b/inner",
    "top/b/inner/link", "top/exec", "top/file", "same",
  ]

  private func populate(_ fixture: MountedFixture) async throws {
    let file = try await fixture.addFile([1])
    let inner = try await fixture.addDirectory([("link", .symlink(target: "file"))])
    let folder = try await fixture.addDirectory([("file", file), ("inner", inner)])
    let exec = try await fixture.addFile([1], isExecutable: true)
    let top = try await fixture.addDirectory([
      ("a", folder), ("b", folder), ("exec", exec), ("file", file),
    ])
    try await fixture.set("top", top)
    try await fixture.set("same", folder)
  }

  private func look(_ fixture: MountedFixture) async throws -> [String: Seen] {
    try await populate(fixture)
    return try await onThread {
      var seen: [String: Seen] = [:]
      for path in Self.paths {
        let status = try lstat(fixture.path + "/" + path)
        let parent = fixture.path + "/" + (path as NSString).deletingLastPathComponent
        let listed = try numbers(parent)
        let name = (path as NSString).lastPathComponent
        seen[path] = Seen(
          inode: status.st_ino,
          listed: try #require(listed[name]),
          seconds: status.st_mtim.tv_sec,
          nanoseconds: status.st_mtim.tv_nsec
        )
        #expect(try listed["."] == lstat(parent).st_ino)
        let above = fixture.path + "/" + (path as NSString).deletingLastPathComponent + "/.."
        // The root's parent is outside.
        if path.contains("/") { #expect(try listed[".."] == lstat(above).st_ino, "\(path)") }
      }
      return seen
    }
  }

  @Test(
    "the highest eight bits are clear, listings and stat agree, and every mount shows the same",
    arguments: [InodeNumbering.content, .place]
  )
  func alike(numbering: InodeNumbering) async throws {
    var options = FileSystemOptions()
    options.inodeNumbers = numbering
    options.modificationTime = .content
    let first = try await look(MountedFixture(options: options))
    let second = try await look(MountedFixture(options: options))
    #expect(first == second)
    for (path, seen) in first {
      #expect(seen.inode > 1 && seen.inode < 1 << 56, "\(path)")
      #expect(seen.inode == seen.listed, "\(path)")
    }
  }

  @Test("by content, equal content has equal numbers")
  func byContent() async throws {
    let seen = try await look(MountedFixture()).mapValues(\.inode)
    #expect(seen["top/a"] == seen["top/b"] && seen["top/a"] == seen["same"])
    #expect(seen["top/a/file"] == seen["top/file"])
    #expect(seen["top/exec"] != seen["top/file"])
    #expect(seen["top/a/inner/link"] == seen["top/b/inner/link"])
    #expect(Set(seen.values).count == 6)
  }

  @Test("by place, every place has its own, which stays when other content comes there")
  func byPlace() async throws {
    var options = FileSystemOptions()
    options.inodeNumbers = .place
    options.rootValidity = .none
    let fixture = try MountedFixture(options: options)
    let seen = try await look(fixture)
    #expect(Set(seen.values.map(\.inode)).count == Self.paths.count)
    // The same once the kernel has forgotten, and when the parent is looked up last.
    try await onThread { () throws in
      let file = open("/proc/sys/vm/drop_caches", O_WRONLY)
      defer { close(file) }
      _ = write(file, "2\n", 2)
    }
    #expect(try await look(fixture) == seen)
    let file = try await fixture.addFile([2])
    let folder = try await fixture.addDirectory([("file", file)])
    try await fixture.set("top", try await fixture.addDirectory([("b", folder)]))
    try await onThread { () throws in
      #expect(try lstat(fixture.path + "/top/b/file").st_ino == seen["top/b/file"]?.inode)
      #expect(try readFile(fixture.path + "/top/b/file") == [2])
      #expect(try lstat(fixture.path + "/top/b").st_ino == seen["top/b"]?.inode)
    }
  }

  @Test("by place, programs that take equal numbers for one file see all of them")
  func programs() async throws {
    var options = FileSystemOptions()
    options.inodeNumbers = .place
    let fixture = try MountedFixture(options: options)
    try await populate(fixture)
    let copies = try TestFolder()
    let outcome = try await onThread {
      try Shell.script(
        """
        cd "$1/top"
        cp -r a b "$2"; for f in a b; do diff -r --no-dereference $f "$2/$f"; done
        test "$(du -s a b | wc -l)" = 2
        test "$(find . -printf '%i\\n' | sort | uniq -d | wc -l)" = 0
        """,
        fixture.path,
        copies.path
      )
    }
    #expect(outcome.code == 0, "\(outcome.output)")
  }

  @Test("by place, passthrough serves equal files at several places")
  func passthrough() async throws {
    let store = try await CastoreProcess()
    for name in ["one", "two"] {
      let digest = try await store.store.put(
        Directory([
          NamedNode(name: "copy", node: try #require(store.store.nodeLocal(named: "large")))
        ])
      )
      try store.store.setRoot(PathComponent(name), to: .directory(digest: digest, size: 2))
    }
    try await store.start("--data-path", "passthrough", "--inode-numbers", "place")
    let path = store.path
    try await onThread { () throws in
      let all = ["large/file", "one/copy/file", "two/copy/file"].map { "\(path)/\($0)" }
      let files = all.map { open($0, O_RDONLY | O_CLOEXEC) }
      defer { for file in files { close(file) } }
      #expect(try Set(all.map { try lstat($0).st_ino }).count == 3)
      for name in all { #expect(try readFile(name) == pattern(400_000)) }
    }
    store.signal(SIGTERM)
    #expect(try await store.end() == 0)
  }

  @Test("by content, times differ where contents do, and lie in the year of the epoch")
  func times() async throws {
    var options = FileSystemOptions()
    options.modificationTime = .content
    options.rootValidity = .none
    let fixture = try MountedFixture(options: options)
    let seen = try await look(fixture)
    #expect(seen["top/a"]?.seconds == seen["same"]?.seconds)
    #expect(seen["top/a/file"]?.seconds == seen["top/exec"]?.seconds)
    // Folders too, and in whole seconds: many programs see no others.
    let different = ["top", "top/a", "top/a/file", "top/a/inner", "top/a/inner/link"]
    #expect(Set(different.compactMap { seen[$0]?.seconds }).count == different.count)
    for (path, seen) in seen {
      #expect(seen.seconds > 0 && seen.seconds <= 1 << 24, "\(path)")
    }
    // Python keeps bytecode by whole seconds and length.
    let one = try await fixture.addFile(Array("print(1)\n".utf8))
    let two = try await fixture.addFile(Array("print(2)\n".utf8))
    try await fixture.set("code", try await fixture.addDirectory([("m.py", one)]))
    let cache = try TestFolder()
    @Sendable func python() throws -> String {
      try Shell.script(
        "PYTHONPATH=$1/code PYTHONPYCACHEPREFIX=$2 python3 -c 'import m'",
        fixture.path,
        cache.path
      ).output
    }
    #expect(try await onThread { try python() } == "1\n")
    try await fixture.set("code", try await fixture.addDirectory([("m.py", two)]))
    #expect(try await onThread { try python() } == "2\n")
  }
}

/// The numbers that a listing shows, by name.
private func numbers(_ path: String) throws -> [String: UInt] {
  guard let directory = opendir(path) else { throw CallError(code: errno) }
  defer { closedir(directory) }
  var numbers: [String: UInt] = [:]
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    numbers[name] = entry.pointee.d_ino
  }
  return numbers
}
