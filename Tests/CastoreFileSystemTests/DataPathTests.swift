import CLinux
import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Testing

@Suite("The two data paths", .serialized)
struct DataPathTests {
  @Test("the choice follows the store, the privileges and the wish")
  func decision() {
    let small = DataPathDecision.Facts(blobs: 100_000, fileBytes: 1 << 30)
    let big = DataPathDecision.Facts(blobs: 100, fileBytes: 1 << 30)
    let barred = DataPathDecision.Facts(blobs: 100, fileBytes: 1 << 30, obstacle: "no root")
    let empty = DataPathDecision.Facts(blobs: 0, fileBytes: 0)
    let table: [(DataPath?, DataPathDecision.Facts, DataPath)] = [
      (nil, small, .cached), (nil, big, .passthrough), (nil, barred, .cached),
      (nil, empty, .cached),
      (.cached, big, .cached), (.passthrough, small, .passthrough), (.passthrough, barred, .cached),
    ]
    for (wish, facts, path) in table {
      #expect(DataPathDecision.make(wish, facts).path == path)
    }
    #expect(DataPathDecision.make(.passthrough, barred).reason.contains("no root"))
  }

  @Test("cached: opening is asked about once")
  func cachedOpens() async throws {
    let fixture = try StoreFixture(.cached)
    let large = pattern(300_000)
    try await fixture.add("large", large)
    try await fixture.add("small", [1, 2, 3])
    for _ in 0..<10 {
      #expect(try await onThread { try readFile(fixture.path + "/large") } == large)
      #expect(try await onThread { try readFile(fixture.path + "/small") } == [1, 2, 3])
    }
    #expect(fixture.counts[.open] == 1)
    #expect(fixture.counts[.release] == 0)
    #expect(fixture.counts[.flush] <= 1)
  }

  @Test("passthrough: the kernel reads files itself, small blobs are served")
  func passedThrough() async throws {
    let fixture = try StoreFixture(.passthrough)
    let large = pattern(3_000_001)
    let node = try await fixture.add("large", large)
    guard case .file(let digest, let size, _) = node else { return }
    // The same content with another mode: another inode, the same registration.
    try fixture.store.setRoot(
      PathComponent("program"),
      to: .file(digest: digest, size: size, isExecutable: true)
    )
    try await fixture.add("small", [1, 2, 3])
    try await fixture.add("empty", [])
    for _ in 0..<10 {
      #expect(try await onThread { try readFile(fixture.path + "/large") } == large)
      #expect(try await onThread { try readFile(fixture.path + "/program") } == large)
      #expect(try await onThread { try readFile(fixture.path + "/small") } == [1, 2, 3])
      #expect(try await onThread { try readFile(fixture.path + "/empty") } == [])
    }
    #expect(fixture.fileSystem.dataPath == .passthrough)
    #expect(fixture.counts[.open] == 40)
    // Only the small one was ever asked for, and stayed in the page cache.
    #expect(fixture.counts[.read] <= 2)
    #expect(fixture.logged == [])
  }

  @Test("passthrough: reading ahead asks us all the same, and gets the right bytes")
  func readahead() async throws {
    let fixture = try StoreFixture(.passthrough)
    let large = pattern(1 << 20)
    try await fixture.add("large", large)
    try await onThread { () throws in
      let file = open(fixture.path + "/large", O_RDONLY)
      #expect(file >= 0)
      defer { close(file) }
      #expect(posix_fadvise(file, 0, 1 << 20, POSIX_FADV_WILLNEED) == 0)
      #expect(CLinux.readahead(file, 0, 1 << 20) == 0)
      #expect(try readFile(fixture.path + "/large") == large)
    }
    #expect(fixture.logged == [])
  }

  @Test("passthrough: one blob opened and closed by many at once, while others push it out")
  func races() async throws {
    let fixture = try StoreFixture(.passthrough)
    let contents = (0..<20).map { pattern(70_000, seed: UInt64($0) + 10) }
    for (number, content) in contents.enumerated() {
      try await fixture.add("f\(number)", content)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for thread in 0..<16 {
        group.addTask {
          try await onThread { () throws in
            for round in 0..<150 {
              let number = round % 3 == 0 ? 0 : (thread * 7 + round) % contents.count
              guard try readFile(fixture.path + "/f\(number)") == contents[number] else {
                throw CallError(code: EIO)
              }
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(fixture.logged == [])
  }

  @Test("passthrough: registrations of closed files are bounded, open ones keep theirs")
  func eviction() async throws {
    let fixture = try StoreFixture(.passthrough) { $0.idleBackingLimit = 4 }
    let contents = (0..<12).map { pattern(66_000, seed: UInt64($0) + 50) }
    for (number, content) in contents.enumerated() {
      try await fixture.add("f\(number)", content)
    }
    try await onThread { () throws in
      let held = (0..<6).map { open(fixture.path + "/f\($0)", O_RDONLY) }
      #expect(held.allSatisfy { $0 >= 0 })
      for _ in 0..<3 {
        for (number, content) in contents.enumerated() {
          #expect(try readFile(fixture.path + "/f\(number)") == content)
        }
      }
      #expect(fixture.fileSystem.backingCount <= 10 + 2)
      for file in held { close(file) }
    }
    // Closing is told to us a moment later.
    for _ in 0..<200 where fixture.fileSystem.backingCount > 4 {
      try await Task.sleep(for: .milliseconds(20))
    }
    #expect(fixture.fileSystem.backingCount == 4)
    for (number, content) in contents.enumerated() {
      #expect(try await onThread { try readFile(fixture.path + "/f\(number)") } == content)
    }
    #expect(fixture.counts[.read] == 0)
  }

  @Test("a store on overlayfs: depth 2 passes through, depth 1 falls back with one line")
  func overlay() async throws {
    let folder = try TestFolder()
    let content = pattern(200_000)
    try await onThread { () throws in
      // A file system of its own below, whatever the temporary folder lies on.
      let outcome = try Shell.script(
        """
        mkdir "$1/base"; mount -t tmpfs base "$1/base"
        mkdir "$1/base/lower" "$1/base/upper" "$1/base/work" "$1/merged"
        mount -t overlay -o "lowerdir=$1/base/lower,upperdir=$1/base/upper,workdir=$1/base/work" \\
          merged "$1/merged"
        """,
        folder.path
      )
      #expect(outcome.code == 0, "\(outcome.output)")
    }
    defer { _ = try? Shell.script("umount -l \"$1/merged\" \"$1/base\"", folder.path) }
    let storePath = folder.sub("merged/store")
    do {
      let fixture = try StoreFixture(
        .passthrough,
        storePath: storePath,
        maxStackDepth: PassthroughSupport.stackDepth(of: folder.sub("merged"))
      )
      try await fixture.add("large", content)
      #expect(try await onThread { try readFile(fixture.path + "/large") } == content)
      #expect(fixture.fileSystem.dataPath == .passthrough)
      #expect(fixture.counts[.read] == 0)
    }
    #expect(PassthroughSupport.stackDepth(of: folder.sub("base")) == 1)
    let fixture = try StoreFixture(.passthrough, storePath: storePath, maxStackDepth: 1)
    try await fixture.add("other", pattern(100_000, seed: 2))
    for _ in 0..<3 {
      #expect(try await onThread { try readFile(fixture.path + "/large") } == content)
      #expect(
        try await onThread { try readFile(fixture.path + "/other") } == pattern(100_000, seed: 2)
      )
    }
    #expect(fixture.fileSystem.dataPath == .cached)
    #expect(fixture.logged.count == 1, "\(fixture.logged)")
    #expect(fixture.logged.first?.contains("on top of each other") == true)
    #expect(fixture.counts[.open] == 1)
  }

  @Test("passthrough: a blob or size that is wrong is EIO, never a shorter file")
  func wrongSize() async throws {
    let fixture = try StoreFixture(.passthrough)
    let node = try await fixture.add("right", pattern(100_000))
    guard case .file(let digest, let size, _) = node else { return }
    let longer = Node.file(digest: digest, size: size + 5000, isExecutable: false)
    let missing = Node.file(digest: Fixtures.blobB.digest, size: 100, isExecutable: false)
    try await fixture.addDirectory("d", [("longer", longer), ("missing", missing)])
    for name in ["longer", "missing"] {
      await #expect(throws: CallError(code: EIO)) {
        try await onThread { try readFile(fixture.path + "/d/" + name) }
      }
    }
    #expect(try await onThread { try lstat(fixture.path + "/d/longer") }.st_size == 105_000)
    #expect(try await onThread { try lstat(fixture.path + "/d/missing") }.st_size == 100)
    #expect(try await onThread { try readFile(fixture.path + "/right") } == pattern(100_000))
  }
}
