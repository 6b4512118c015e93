import CLinux
import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Glibc
import Platform
import Testing

@Suite("A store that is slow", .serialized, .timeLimit(.minutes(2)))
struct SlowStoreTests {
  let memory = MemoryBlobService()
  let directories = MemoryDirectoryService()

  private func mount(_ services: GatedServices) throws -> MountedFixture {
    try MountedFixture(blobs: services, directories: services)
  }

  private func addFile(_ bytes: [UInt8]) async throws -> Node {
    let writer = try await memory.openWrite()
    try await writer.write(bytes)
    let digest = try await writer.close()
    return .file(digest: digest, size: UInt64(bytes.count), isExecutable: false)
  }

  private func addDirectory(_ entries: [(String, Node)]) async throws -> Node {
    var directory = Directory()
    for (name, node) in entries { try directory.add(PathComponent(name), node) }
    return .directory(
      digest: try await directories.put(directory),
      size: directory.size(rule: .specified)
    )
  }

  @Test("1,000 reads wait at once on few threads, and everything else goes on")
  func thousandReads() async throws {
    let services = GatedServices(memory, directories)
    let fixture = try mount(services)
    defer { services.open() }
    let count = 1000
    var slow: [(String, Node)] = []
    for number in 0..<count {
      let node = try await addFile(pattern(3000, seed: UInt64(number)))
      services.hold(node)
      slow.append(("slow-\(number)", node))
    }
    var fast: [(String, Node)] = []
    for number in 0..<50 {
      fast.append(("fast-\(number)", try await addFile(pattern(9000, seed: UInt64(number) + 5000))))
    }
    try await fixture.set("slow", try await addDirectory(slow))
    try await fixture.set("fast", try await addDirectory(fast))

    let finished = Guarded(0)
    let done = Latch<Bool>()
    let path = fixture.path
    for number in 0..<count {
      startThread(named: "client") {
        let bytes = try? readFile("\(path)/slow/slow-\(number)")
        let all = finished.withLock { finished in
          if bytes == pattern(3000, seed: UInt64(number)) { finished += 1 }
          return finished
        }
        if all == count { done.set(true) }
      }
    }
    while services.waiting < count { try await Task.sleep(for: .milliseconds(10)) }
    #expect(fixture.mount.session.detachedCount >= count)
    // All of them wait. Now the rest: lookups, listings, and reads through the same service.
    let read = try await onThread { () throws in
      for round in 0..<2 {
        for name in try names(path + "/fast") {
          let number = UInt64(name.dropFirst(5)) ?? 0
          guard try readFile("\(path)/fast/\(name)") == pattern(9000, seed: number + 5000) else {
            return false
          }
          #expect((try? lstat("\(path)/fast/missing-\(round)-\(name)")) == nil)
        }
      }
      return try names(path + "/slow").count == count
    }
    #expect(read)
    #expect(services.waiting == count)
    #expect(finished.withLock { $0 } == 0)
    // Swift's pool has a thread for each core, the server a few; what else tests have started is little.
    let own = threadNames().filter { $0 != "client" }.count
    #expect(own < 40, "\(own) threads")
    services.open()
    _ = await done.get()
    #expect(finished.withLock { $0 } == count)
    // None was asked for twice.
    #expect(services.calls <= count + 52)
  }

  @Test("a directory that does not come holds up nobody but who looks into it")
  func slowDirectory() async throws {
    let services = GatedServices(memory, directories)
    let fixture = try mount(services)
    defer { services.open() }
    let inside = try await addFile([1])
    let slow = try await addDirectory([("file", inside), ("other", inside)])
    services.hold(slow)
    try await fixture.set("slow", slow)
    try await fixture.set("fast", try await addDirectory([("file", inside), ("name", inside)]))
    let path = fixture.path
    async let size = onThread { try lstat(path + "/slow/file").st_size }
    async let listed = onThread { try names(path + "/slow") }
    while fixture.mount.session.detachedCount < 1 || services.waiting < 1 {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(try await onThread { try names(path) }.sorted() == ["fast", "slow"])
    #expect(try await onThread { try readFile(path + "/fast/file") } == [1])
    #expect(try await onThread { try lstat(path + "/slow") }.st_mode & S_IFMT == S_IFDIR)
    services.open()
    #expect(try await size == 1)
    #expect(try await listed == ["file", "other"])
  }

  @Test("an interrupted read returns at once, and harms nobody else who reads the same")
  func interrupted() async throws {
    let services = GatedServices(memory, directories)
    let fixture = try mount(services)
    defer { services.open() }
    let node = try await addFile(pattern(5000))
    services.hold(node)
    try await fixture.set("slow", node)
    let path = fixture.path + "/slow"
    async let other = onThread { try readFile(path) }
    while services.waiting < 1 { try await Task.sleep(for: .milliseconds(5)) }
    for (signal, command) in [
      (SIGINT, ["/bin/cat", path]), (SIGTERM, [try Shell.built("fs-client"), "read-direct", path]),
      (SIGKILL, [try Shell.built("fs-client"), "read-direct", path]),
    ] {
      let before = fixture.mount.session.requestCounts[.read]
      let child = try spawn(command)
      // cat waits for the page that the other reader has asked for.
      if command.count == 3 {
        while fixture.mount.session.requestCounts[.read] == before {
          try await Task.sleep(for: .milliseconds(5))
        }
      } else {
        try await Task.sleep(for: .milliseconds(100))
      }
      kill(child, signal)
      let status = try await onThread {
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status
      }
      #expect(status & 0x7f == signal)
    }
    #expect(services.waiting >= 1)
    services.open()
    #expect(try await other == pattern(5000))
  }

  @Test("unmounting does not wait for a store that does not answer")
  func unmounting() async throws {
    let services = GatedServices(memory, directories)
    let fixture = try mount(services)
    defer { services.open() }
    let node = try await addFile(pattern(5000))
    services.hold(node)
    try await fixture.set("slow", node)
    let path = fixture.path + "/slow"
    async let read: Void = onThread { _ = try readFile(path) }
    while services.waiting < 1 { try await Task.sleep(for: .milliseconds(5)) }
    #expect(try await onThread { try fixture.mount.unmount() } == .detached)
    // Somebody still reads: forced out, as `umount -f` does.
    services.open()
    _ = try? await read
    #expect(await fixture.mount.ended() == .unmounted)
    #expect(fixture.mount.session.detachedCount == 0)
  }
}

/// Starts a thread with a small stack.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
  let thread = Thread(block: {
    // The name that `/proc` shows.
    _ = name.withCString { pthread_setname_np(pthread_self(), $0) }
    body()
  })
  thread.stackSize = 256 << 10
  thread.start()
}

/// The names of this process's threads.
func threadNames() -> [String] {
  let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
  return tasks.compactMap {
    (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8))?
      .trimmingCharacters(in: .newlines)
  }
}

/// Starts a program that takes signals as one started from a terminal does.
///
/// - Parameter errors: Where its standard error is appended; `nil` leaves ours.
func spawn(_ arguments: [String], errors: String? = nil) throws -> pid_t {
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var none = sigset_t()
  sigemptyset(&none)
  posix_spawnattr_setsigmask(&attributes, &none)
  var all = sigset_t()
  sigfillset(&all)
  posix_spawnattr_setsigdefault(&attributes, &all)
  posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
  if let errors {
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o644)
  }
  var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  var process = pid_t()
  let code = posix_spawnp(
    &process,
    arguments[0],
    &actions,
    &attributes,
    &pointers,
    CLinux_environ()
  )
  guard code == 0 else { throw CallError(code: code) }
  return process
}
