import CLinux
import Foundation
import Glibc
import Platform
import Testing

@testable import FUSE

@Suite("A mounted file system", .serialized, .timeLimit(.minutes(2)))
struct MountTests {
  let fixture: MountFixture

  init() throws {
    fixture = try MountFixture()
  }

  static let pattern = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

  func mount(
    _ fileSystem: TinyFileSystem,
    _ change: (inout MountOptions) -> Void = { _ in }
  ) async throws -> Mount {
    var options = MountOptions()
    options.source = "tiny"
    options.subtype = "tiny"
    change(&options)
    let path = "\(fixture.folder)/mnt"
    // Exists already where a test mounts twice.
    mkdir(path, 0o755)
    let final = options
    return try await onThread { try Mount(fileSystem, at: path, options: final) }
  }

  func unmount(_ mount: Mount) async throws {
    #expect(try await onThread { try mount.unmount() } == .ended)
  }

  @Test("reads come back exactly, whatever they are made of")
  func reads() async throws {
    let file = try fixture.file("plain", Self.pattern)
    defer { close(file) }
    let mount = try await mount(
      TinyFileSystem([
        ("memory", .bytes(Self.pattern)), ("file", .file(file, size: 3_000_001)),
        ("empty", .bytes([])), ("link", .link(Array("memory".utf8))),
      ])
    )
    for name in ["memory", "file", "link"] {
      let all = try await onThread { readAt("\(mount.path)/\(name)", 0, 4_000_000) }
      #expect(try all.get() == Self.pattern)
      let end = try await onThread { readAt("\(mount.path)/\(name)", 2_999_999, 100) }
      #expect(try end.get() == Array(Self.pattern[2_999_999...]))
    }
    #expect(try await onThread { readAt("\(mount.path)/empty", 0, 10) }.get() == [])
    try await unmount(mount)
  }

  @Test("a read that fails is EIO and does not cut the file")
  func failingRead() async throws {
    let mount = try await mount(TinyFileSystem([("bad", .failing(size: 100_000))]))
    for _ in 0..<2 {
      let result = try await onThread { readAt("\(mount.path)/bad", 0, 100_000) }
      #expect(result == .failure(Errno(EIO)))
      let size = try await onThread {
        var status = stat()
        _ = stat("\(mount.path)/bad", &status)
        return status.st_size
      }
      #expect(size == 100_000)
    }
    try await unmount(mount)
  }

  @Test("bytes that lie in unreadable memory are EIO")
  func unreadableMemory() async throws {
    // A mapping beyond the end of its file: touching it would be SIGBUS, sending it is EFAULT.
    let file = try fixture.file("short", [1])
    defer { close(file) }
    let size = 1 << 16
    let mapping = try #require(mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0))
    defer { munmap(mapping, size) }
    let fileSystem = MappedFileSystem(address: UInt(bitPattern: mapping), size: size)
    _ = try fixture.directory("mapped")
    let path = "\(fixture.folder)/mapped"
    let mount = try await onThread { try Mount(fileSystem, at: path) }
    // The kernel asks for single pages after a failure: the first is there.
    let result = try await onThread { readAt("\(path)/f", 8192, size - 8192) }
    #expect(result == .failure(Errno(EIO)))
    #expect(try await onThread { readAt("\(path)/f", 0, 1) }.get() == [1])
    try await unmount(mount)
  }

  @Test("a dropped reply is EIO")
  func droppedReply() async throws {
    let mount = try await mount(TinyFileSystem([("dropped", .dropping)]))
    let result = try await onThread { readAt("\(mount.path)/dropped", 0, 10) }
    #expect(result == .failure(Errno(EIO)))
    try await unmount(mount)
  }

  @Test("names that do not exist are asked for once")
  func negativeEntries() async throws {
    let mount = try await mount(TinyFileSystem([("there", .bytes([1]))]))
    let before = mount.session.requestCounts
    try await onThread {
      for _ in 0..<50 {
        var status = stat()
        #expect(stat("\(mount.path)/missing", &status) == -1 && errno == ENOENT)
      }
    }
    #expect((mount.session.requestCounts - before)[.lookup] == 1)
    try await unmount(mount)
  }

  @Test("a second walk costs a handful of requests")
  func requestCounts() async throws {
    let files = (0..<40).flatMap { folder in
      (0..<25).map { ("d\(folder)/f\($0)", TinyFileSystem.Content.bytes([1, 2, 3])) }
    }
    let mount = try await mount(TinyFileSystem(files))
    let first = try await run("ls", "-lR", mount.path)
    #expect(first.status == 0)
    let before = mount.session.requestCounts
    let second = try await run("ls", "-lR", mount.path)
    #expect(second == first)
    let walk = mount.session.requestCounts - before
    #expect(walk.total <= 4, "\(walk)")
    try await unmount(mount)
  }

  @Test("listings are complete with small buffers and from every cookie")
  func seekdir() async throws {
    let names = (0..<300).map { index in
      "\(index)-" + String(repeating: "x", count: index % 250)
    }
    for capabilities in [Capabilities.core, Capabilities.core.subtracting(.readdirplus)] {
      let mount = try await mount(
        TinyFileSystem(names.map { ("d/\($0)", .bytes([])) }, wanted: capabilities)
      )
      try await onThread {
        let path = "\(mount.path)/d"
        let all = try entries(path, bufferSize: 32768)
        #expect(all.map(\.name) == [".", ".."] + names)
        let small = try entries(path, bufferSize: 280)
        #expect(small == all)
        let file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(file) }
        for (index, entry) in all.enumerated() {
          #expect(lseek(file, entry.cookie, SEEK_SET) == entry.cookie)
          let next = try batch(file, bufferSize: 600).first
          #expect(next == (index + 1 < all.count ? all[index + 1] : nil))
          var status = stat()
          if entry.name != ".." {
            #expect(stat("\(path)/\(entry.name)", &status) == 0)
            #expect(status.st_ino == entry.inode)
          }
        }
      }
      try await unmount(mount)
    }
  }

  @Test(
    "an interrupted read returns at once",
    // The page cache reads for cat in the background, where nobody can be interrupted: cat just dies.
    // A direct read waits itself, and is interrupted.
    arguments: [
      ["cat", "slow"], ["dd", "if=slow", "iflag=direct", "bs=4096", "status=none"],
    ]
  )
  func interruptedRead(command: [String]) async throws {
    let fileSystem = TinyFileSystem([("slow", .waiting), ("fast", .bytes([7]))])
    let mount = try await mount(fileSystem)
    let process = try spawn(
      command.map { $0.replacingOccurrences(of: "slow", with: "\(mount.path)/slow") }
    )
    while mount.session.detachedCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
    // Meanwhile others go on.
    #expect(try await onThread { readAt("\(mount.path)/fast", 0, 1) }.get() == [7])
    kill(process, SIGINT)
    let status = try await onThread {
      var status: Int32 = 0
      waitpid(process, &status, 0)
      return status
    }
    #expect(status & 0x7f == SIGINT)
    if command[0] == "dd" {
      while fileSystem.interrupts.withLock({ $0 }) == 0 {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(mount.session.requestCounts[.interrupt] == 1)
      #expect(mount.session.detachedCount == 0)
    }
    _ = try await onThread { try mount.unmount() }
    _ = await mount.ended()
    #expect(mount.session.detachedCount == 0)
  }

  @Test("a signal that its receiver survives interrupts nothing, a later deadly one does")
  func survivedSignal() async throws {
    let fileSystem = TinyFileSystem([("slow", .waiting)])
    let mount = try await mount(fileSystem)
    // dd prints statistics on SIGUSR1.
    let process = try spawn(["dd", "if=\(mount.path)/slow", "iflag=direct", "bs=4096"])
    while mount.session.detachedCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
    kill(process, SIGUSR1)
    while mount.session.requestCounts[.interrupt] < 3 {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(fileSystem.interrupts.withLock { $0 } == 0)
    kill(process, SIGTERM)
    let status = try await onThread {
      var status: Int32 = 0
      waitpid(process, &status, 0)
      return status
    }
    #expect(status & 0x7f == SIGTERM)
    try await unmount(mount)
  }

  @Test("replies that wait when the mount is torn down are answered")
  func tornDown() async throws {
    let mount = try await mount(TinyFileSystem([("slow", .waiting)]))
    async let reading = onThread { readAt("\(mount.path)/slow", 0, 10) }
    while mount.session.detachedCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
    _ = umount2(mount.path, Int32(MNT_FORCE))
    let result = try await reading
    #expect(throws: Errno.self) { try result.get() }
    _ = try await onThread { try mount.unmount() }
    _ = await mount.ended()
    #expect(mount.session.detachedCount == 0)
  }

  @Test("a busy mount is detached and ends with its last user")
  func busy() async throws {
    let mount = try await mount(TinyFileSystem([("f", .bytes(Array("still there".utf8)))]))
    let file = open("\(mount.path)/f", O_RDONLY | O_CLOEXEC)
    #expect(file >= 0)
    #expect(try await onThread { try mount.unmount(grace: 60) } == .detached)
    #expect(mount.end == nil)
    let content = try await onThread {
      var buffer = [UInt8](repeating: 0, count: 20)
      let count = read(file, &buffer, 20)
      return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
    #expect(content == "still there")
    close(file)
    #expect(await mount.ended() == .unmounted)
    #expect(try await onThread { try mount.unmount() } == .ended)
  }

  @Test("unmounting never touches what is not its own")
  func foreign() async throws {
    let mount = try await mount(TinyFileSystem([]))
    let path = mount.path
    #expect(Glibc.mount("cover", path, "tmpfs", 0, nil) == 0)
    await #expect(throws: MountError.covered(path: path)) {
      try await onThread { try mount.unmount() }
    }
    #expect(umount2(path, 0) == 0)
    #expect(umount2(path, 0) == 0)
    #expect(Glibc.mount("other", path, "tmpfs", 0, nil) == 0)
    #expect(try await onThread { try mount.unmount() } == .ended)
    // The other one is still there.
    #expect(umount2(path, 0) == 0)
  }

  @Test("a dead mount is cleared away, a living one is mounted over")
  func deadMount() async throws {
    let path = try fixture.directory("mnt")
    for _ in 0..<2 {
      let device = open("/dev/fuse", O_RDWR | O_CLOEXEC)
      try #require(device >= 0)
      let data = "fd=\(device),rootmode=40000,user_id=0,group_id=0"
      #expect(data.withCString { Glibc.mount("dead", path, "fuse.dead", 0, $0) } == 0)
      close(device)
    }
    let mount = try await mount(TinyFileSystem([("alive", .bytes([1]))]))
    let table = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    #expect(table.split(separator: "\n").filter { $0.contains(" \(path) ") }.count == 1)
    #expect(try await onThread { readAt("\(path)/alive", 0, 1) }.get() == [1])
    try await unmount(mount)
  }

  @Test("mounting and unmounting leaves no thread and no descriptor behind")
  func leaks() async throws {
    for _ in 0..<50 {
      let fileSystem = TinyFileSystem([("f", .bytes([1]))])
      let mount = try await mount(fileSystem)
      #expect(try await onThread { readAt("\(mount.path)/f", 0, 1) }.get() == [1])
      try await unmount(mount)
      #expect(fileSystem.destructions.withLock { $0 } == 1)
    }
    // The last thread signals the end a moment before it is gone itself.
    for _ in 0..<1000 where serverThreads() > 0 { try await Task.sleep(for: .milliseconds(5)) }
    #expect(serverThreads() == 0)
    #expect(deviceDescriptors() == 0)
  }

  @Test("the helper mounts and unmounts")
  func helper() async throws {
    let mount = try await mount(TinyFileSystem([("f", .bytes([1]))])) { $0.method = .helper }
    #expect(try await onThread { readAt("\(mount.path)/f", 0, 1) }.get() == [1])
    let table = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    #expect(table.contains("fuse.tiny tiny ro,"))
    try await unmount(mount)
  }

  @Test(
    "a kernel that is too old is an error that says so, and leaves no mount",
    arguments: [
      MountOptions.Method.direct, .helper,
    ]
  )
  func refusal(method: MountOptions.Method) async throws {
    var configuration = SessionConfiguration()
    configuration.oldestMinor = 9999
    var options = MountOptions()
    options.method = method
    let path = try fixture.directory("mnt")
    let (final, settings) = (options, configuration)
    let error = await #expect(throws: MountError.self) {
      try await onThread {
        try Mount(TinyFileSystem([]), at: path, options: final, configuration: settings)
      }
    }
    guard case .tooOld(path, 7, let minor, 9999)? = error else {
      return #expect(Bool(false), "\(error as Any)")
    }
    #expect(minor >= 31)
    #expect("\(try #require(error))".contains("7.9999 or later is needed"))
    #expect(try !MountTable.current().entries.contains { $0.mountPoint == Array(path.utf8) })
    // And it is a folder as it was before.
    #expect(rmdir(path) == 0)
  }

  @Test("O_DIRECT is seen, whatever bit it is here")
  func direct() async throws {
    let fileSystem = TinyFileSystem([("file", .bytes([1]))], usesOpen: true)
    let mount = try await mount(fileSystem)
    for flags in [0, CLinux_O_DIRECT] {
      let file = open("\(mount.path)/file", O_RDONLY | flags)
      #expect(file >= 0)
      close(file)
    }
    #expect(fileSystem.openings.withLock { $0 }.map { $0.contains(.direct) } == [false, true])
    try await unmount(mount)
  }

  @Test("a relative path, a name with a space, and clear errors")
  func mountPoints() async throws {
    let path = try fixture.directory("a b\\c")
    let mount = try await onThread { try Mount(TinyFileSystem([]), at: "\(path)/../a b\\c/") }
    #expect(mount.path == path)
    try await unmount(mount)
    await #expect(throws: MountError.mountPoint(path: "/nowhere/at/all", Errno(ENOENT))) {
      try await onThread { _ = try Mount(TinyFileSystem([]), at: "/nowhere/at/all") }
    }
    _ = try fixture.file("plain", [])
    let plain = "\(fixture.folder)/plain"
    await #expect(throws: MountError.mountPoint(path: plain, Errno(ENOTDIR))) {
      try await onThread { _ = try Mount(TinyFileSystem([]), at: plain) }
    }
  }

  @Test("the kernel reads passthrough files itself")
  func passthrough() async throws {
    let file = try fixture.file("store", Self.pattern)
    defer { close(file) }
    let fileSystem = TinyFileSystem(
      [("f", .backed(file, size: 3_000_001))],
      usesOpen: true,
      wanted: Capabilities.core.union(.passthrough)
    )
    let mount = try await mount(fileSystem)
    #expect(mount.session.agreement?.capabilities.contains(.passthrough) == true)
    let content = try await onThread { readAt("\(mount.path)/f", 0, 4_000_000) }
    #expect(try content.get() == Self.pattern)
    let counts = mount.session.requestCounts
    #expect(counts[.open] == 1)
    #expect(counts[.read] == 0)
    try await unmount(mount)
    let kernel = try #require(fileSystem.kernel.withLock { $0 })
    #expect(throws: Errno(ENODEV)) { _ = try kernel.registerBacking(file) }
  }

  @Test("notifications make the kernel ask again")
  func notifications() async throws {
    let fileSystem = TinyFileSystem([("f", .bytes([1]))])
    let mount = try await mount(fileSystem)
    let kernel = try #require(fileSystem.kernel.withLock { $0 })
    func look() async throws {
      _ = try await onThread { access("\(mount.path)/f", F_OK) }
    }
    try await look()
    let before = mount.session.requestCounts
    try await look()
    #expect((mount.session.requestCounts - before)[.lookup] == 0)
    try kernel.invalidate(Array("f".utf8).span.bytes, in: .root)
    try kernel.invalidate(.root)
    try kernel.invalidate(Array("unknown".utf8).span.bytes, in: .root)
    try await look()
    #expect((mount.session.requestCounts - before)[.lookup] == 1)
    try await unmount(mount)
  }

  @Test("everything that would write is refused")
  func readOnly() async throws {
    let mount = try await mount(TinyFileSystem([("f", .bytes([1]))]))
    try await onThread {
      #expect(open("\(mount.path)/f", O_WRONLY | O_CLOEXEC) == -1 && errno == EROFS)
      #expect(mkdir("\(mount.path)/d", 0o755) == -1 && errno == EROFS)
      #expect(unlink("\(mount.path)/f") == -1 && errno == EROFS)
    }
    try await unmount(mount)
  }
}

func serverThreads() -> Int {
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
  return tasks.filter { task in
    let name = try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)
    return name?.hasPrefix("fuse-") == true
  }.count
}

func deviceDescriptors() -> Int {
  let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
  return files.filter {
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
    return target == "/dev/fuse"
  }.count
}
