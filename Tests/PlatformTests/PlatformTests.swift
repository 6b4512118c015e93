import Glibc
import Platform
import Synchronization
import Testing

@Suite("Errors of the system")
struct ErrnoTests {
  @Test("an error says what it is, in words and by name")
  func text() {
    let error = Errno(ENOENT)
    #expect(error.code == ENOENT)
    #expect("\(error)".contains("No such file"))
    errno = EBADF
    #expect(Errno.current == Errno(EBADF))
  }

  @Test("a call that was interrupted is repeated, any other failure is thrown")
  func interrupted() throws {
    var calls = 0
    let value = try retryingOnInterrupt {
      calls += 1
      errno = EINTR
      return calls < 3 ? -1 : 7
    }
    #expect(value == 7 && calls == 3)
    #expect(throws: Errno(EACCES)) {
      try retryingOnInterrupt {
        errno = EACCES
        return -1
      }
    }
  }
}

@Suite("Descriptors with one owner", .serialized)
struct OwnedDescriptorTests {
  private func isOpen(_ number: CInt) -> Bool { fcntl(number, F_GETFD) != -1 }

  @Test("a descriptor is closed when its owner goes, and not once it was released")
  func lifetime() throws {
    let kept: CInt
    let gone: CInt
    do {
      let first = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
      let second = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
      gone = first.number
      kept = second.release()
      #expect(isOpen(gone))
    }
    #expect(isOpen(kept))
    close(kept)
    // The number may have been taken again by another test; then it is not this file.
    var status = stat()
    #expect(fstat(gone, &status) != 0 || status.st_rdev != makedev(1, 3) || !isOpen(gone))
  }

  @Test("closing reports what goes wrong")
  func closing() throws {
    let good = OwnedDescriptor(adopting: open("/dev/null", O_RDONLY | O_CLOEXEC))
    try good.closeReportingErrors()
  }

  private func makedev(_ major: UInt64, _ minor: UInt64) -> UInt64 { major << 8 | minor }
}

@Suite("Threads, and what they share")
struct ThreadTests {
  @Test("a lock keeps threads apart")
  func guarded() throws {
    let count = Guarded(0)
    let crew = ThreadCrew()
    for number in 0..<8 {
      try crew.start(name: "count-\(number)") {
        for _ in 0..<10_000 { count.withLock { $0 += 1 } }
      }
    }
    crew.joinAll()
    #expect(count.withLock { $0 } == 80_000)
  }

  @Test("a monitor wakes who waits for a condition")
  func monitor() throws {
    let monitor = Monitor([Int]())
    let sum = Atomic<Int>(0)
    let crew = ThreadCrew()
    for number in 0..<4 {
      try crew.start(name: "take-\(number)") {
        for _ in 0..<250 {
          let next = monitor.withLock(waitingWhile: { $0.isEmpty }) { $0.removeLast() }
          sum.wrappingAdd(next, ordering: .relaxed)
        }
      }
    }
    for number in 1...1000 {
      monitor.withLock { $0.append(number) }
      monitor.notifyAll()
    }
    crew.joinAll()
    #expect(sum.load(ordering: .relaxed) == 500_500)
  }

  @Test(
    "a latch gives its value to threads and tasks, those who come early and those who come late"
  )
  func latch() async throws {
    let latch = Latch<String>()
    #expect(latch.current == nil)
    #expect(latch.wait(milliseconds: 1) == nil)
    let early = Task { await latch.get() }
    let crew = ThreadCrew()
    let seen = Guarded("")
    try crew.start(name: "waiter") {
      let value = latch.wait()
      seen.withLock { $0 = value }
    }
    latch.set("value")
    #expect(await early.value == "value")
    #expect(await latch.get() == "value")
    crew.joinAll()
    #expect(seen.withLock { $0 } == "value")
    #expect(latch.wait(milliseconds: 0) == "value")
  }

  @Test("a thread has its name and can be joined")
  func named() throws {
    let name = Guarded("")
    let thread = try NativeThread(name: "a-long-thread-name") {
      let file = OwnedDescriptor(adopting: open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC))
      var bytes = [UInt8](repeating: 0, count: 64)
      let count = read(file.number, &bytes, bytes.count)
      let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      name.withLock { $0 = text }
    }
    thread.join()
    #expect(name.withLock { $0 }.hasPrefix("a-long-thread"))
  }
}
