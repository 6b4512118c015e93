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
    let small = DataPathDecision.Facts(files: 100_000, bytes: 1 << 30)
    let big = DataPathDecision.Facts(files: 100, bytes: 1 << 30)
    let barred = DataPathDecision.Facts(files: 100, bytes: 1 << 30, obstacle: "no root")
    let empty = DataPathDecision.Facts(files: 0, bytes: 0)
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

  @Test("the trees are sized up by what directories say, with no blob at hand, in bounded steps")
  func sampling() async throws {
    let directories = MemoryDirectoryService()
    let roots = MemoryRootNodes()
    func put(_ entries: [(String, Node)]) async throws -> Node {
      var directory = Directory()
      for (name, node) in entries { try directory.add(PathComponent(name), node) }
      return .directory(digest: try await directories.put(directory), size: 1)
    }
    func file(_ number: Int, _ size: UInt64) -> Node {
      .file(
        digest: B3Digest(hashing: [UInt8("\(number)".utf8.count)]),
        size: size,
        isExecutable: false
      )
    }
    let inner = try await put((0..<10).map { ("f\($0)", file($0, 1_000_000)) })
    let missing = Node.directory(digest: Fixtures.blobA.digest, size: 3)
    let outer = try await put([("a", inner), ("again", inner), ("b", file(1, 500)), ("c", missing)])
    roots.set(PathComponent("tree"), to: outer)
    roots.set(PathComponent("file"), to: file(2, 500))
    roots.set(PathComponent("link"), to: .symlink(target: SymlinkTarget("x")))
    let facts = await DataPathDecision.Facts.sampling(roots, directories)
    #expect(facts == DataPathDecision.Facts(files: 12, bytes: 10_001_000))
    // The same again, and no more than asked for.
    #expect(await DataPathDecision.Facts.sampling(roots, directories) == facts)
    let few = await DataPathDecision.Facts.sampling(roots, directories, directoryLimit: 1)
    #expect(few == DataPathDecision.Facts(files: 2, bytes: 1000))
    let one = await DataPathDecision.Facts.sampling(roots, directories, rootLimit: 1)
    #expect(one == DataPathDecision.Facts(files: 1, bytes: 500))
    // Sizes from outside may be absurd.
    roots.set(PathComponent("huge"), to: file(3, .max))
    #expect(await DataPathDecision.Facts.sampling(roots, directories).bytes == .max)
  }

  @Test("cached: opening is asked about once")
  func cachedOpens() async throws {
    let fixture = try StoreFixture(.cached)
    let large = pattern(1_300_000)
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
    let contents = (0..<20).map { pattern(1_070_000, seed: UInt64($0) + 10) }
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
    let contents = (0..<12).map { pattern(1_066_000, seed: UInt64($0) + 50) }
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
    let content = pattern(1_200_000)
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
    try await fixture.add("other", pattern(1_100_000, seed: 2))
    for _ in 0..<3 {
      #expect(try await onThread { try readFile(fixture.path + "/large") } == content)
      #expect(
        try await onThread { try readFile(fixture.path + "/other") } == pattern(1_100_000, seed: 2)
      )
    }
    #expect(fixture.fileSystem.dataPath == .cached)
    #expect(fixture.logged.count == 1, "\(fixture.logged)")
    #expect(fixture.logged.first?.contains("on top of each other") == true)
    #expect(fixture.counts[.open] == 1)
  }

  @Test(
    "passthrough: a blob or size that is wrong is EIO, never a shorter file, whichever is opened first",
    arguments: [["right", "d/longer"], ["d/longer", "right"]]
  )
  func wrongSize(order: [String]) async throws {
    let fixture = try StoreFixture(.passthrough)
    let content = pattern(1_100_000)
    let node = try await fixture.add("right", content)
    guard case .file(let digest, let size, _) = node else { return }
    let longer = Node.file(digest: digest, size: size + 5000, isExecutable: false)
    let missing = Node.file(digest: Fixtures.blobB.digest, size: 100, isExecutable: false)
    try await fixture.addDirectory("d", [("longer", longer), ("missing", missing)])
    // Once with all closed before the next is opened, once while the one before is open.
    for staysOpen in [false, true] {
      try await onThread { () throws in
        var held: [CInt] = []
        defer { for file in held { close(file) } }
        for name in order {
          let path = fixture.path + "/" + name
          if name == "right" {
            #expect(try readFile(path) == content)
          } else {
            #expect(throws: CallError(code: EIO)) { try readFile(path) }
            #expect(throws: CallError(code: EIO)) { try readFile(fixture.path + "/d/missing") }
          }
          if staysOpen { held.append(open(path, O_RDONLY)) }
        }
        #expect(held.allSatisfy { $0 >= 0 })
      }
    }
    #expect(try await onThread { try lstat(fixture.path + "/d/longer") }.st_size == 1_105_000)
    #expect(try await onThread { try lstat(fixture.path + "/d/missing") }.st_size == 100)
    // The right one was passed through all the same.
    #expect(fixture.fileSystem.dataPath == .passthrough && fixture.fileSystem.backingCount == 1)
  }

  @Test(
    "passthrough: what is not at hand is served until it is closed, though it arrives meanwhile"
  )
  func arrival() async throws {
    let folder = try TestFolder()
    let blobs = PartlyNear(near: try LocalStore(path: folder.sub("near"), create: true))
    var options = FileSystemOptions()
    options.dataPath = .passthrough
    let fixture = try MountedFixture(blobs: blobs, options: options)
    let (content, other) = (pattern(1_300_000), pattern(1_200_000, seed: 2))
    for (name, bytes) in [("far", content), ("near", other)] {
      let digest = blobs.far.insert(bytes)
      let size = UInt64(bytes.count)
      try await fixture.set(name, .file(digest: digest, size: size, isExecutable: false))
    }
    // Nothing has been passed through yet: that a file is not at hand turns nothing off.
    #expect(try await onThread { try readFile(fixture.path + "/far") } == content)
    try await blobs.bringNear(other)
    #expect(try await onThread { try readFile(fixture.path + "/near") } == other)
    #expect(fixture.fileSystem.backingCount == 1)
    let path = fixture.path + "/far"
    for isNear in [false, true] {
      let first = open(path, O_RDONLY)
      #expect(first >= 0)
      let map = mmap(nil, content.count, PROT_READ, MAP_SHARED, first, 0)
      #expect(map != MAP_FAILED)
      if !isNear { try await blobs.bringNear(content) }
      // Another opening while the first is there, and the first itself.
      #expect(try await onThread { try readFile(path) } == content)
      try await onThread { () throws in
        var bytes = [UInt8](repeating: 0, count: content.count)
        #expect(pread(first, &bytes, bytes.count, 0) == bytes.count && bytes == content)
      }
      nonisolated(unsafe) let mapped = map
      #expect(
        try await onThread {
          UnsafeRawBufferPointer(start: mapped, count: content.count).elementsEqual(content)
        }
      )
      #expect(fixture.fileSystem.backingCount == (isNear ? 2 : 1))
      munmap(map, content.count)
      close(first)
      // Closing is told to us a moment later.
      while fixture.fileSystem.openFileCount > 0 { try await Task.sleep(for: .milliseconds(5)) }
    }
    #expect(fixture.fileSystem.dataPath == .passthrough)
  }

  @Test("registrations of files that nobody opens go after a while, and the files' space with them")
  func idleRegistrations() async throws {
    let fixture = try StoreFixture(.passthrough)
    let content = pattern(1_100_000)
    try await fixture.add("file", content)
    let held = open(fixture.path + "/file", O_RDONLY)
    #expect(held >= 0)
    for _ in 0..<3 { fixture.fileSystem.releaseIdle() }
    #expect(fixture.fileSystem.backingCount == 1)
    close(held)
    while fixture.fileSystem.openFileCount > 0 { try await Task.sleep(for: .milliseconds(5)) }
    #expect(fixture.fileSystem.backingCount == 1)
    for _ in 0..<2 { fixture.fileSystem.releaseIdle() }
    #expect(fixture.fileSystem.backingCount == 0)
    #expect(try await onThread { try readFile(fixture.path + "/file") } == content)
    #expect(fixture.counts[.read] == 0)
  }
}
