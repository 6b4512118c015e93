import Foundation
import Platform
import Synchronization
import Testing

@Suite("Unix sockets that listen")
struct UnixListenerTests {
  /// A folder that is removed with all that is in it.
  private final class Folder: Sendable {
    let path: String
    var socket: String { path + "/s" }

    init() {
      var template = Array((NSTemporaryDirectory() + "listener-XXXXXX").utf8CString)
      path = String(cString: mkdtemp(&template))
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var names: [String] {
      get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }
  }

  /// Makes a socket and calls `body` with it and an address; the code is zero or an error number.
  private static func withSocket(
    _ path: String,
    _ body: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) -> (code: CInt, socket: CInt) {
    let number = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 ? 0 : errno
      }
    }
    return (code, number)
  }

  /// Zero, or the error number.
  private static func connect(_ path: String) -> CInt {
    let (code, socket) = withSocket(path) { Glibc.connect($0, $1, $2) }
    close(socket)
    return code
  }

  /// As a killed process leaves it: bound, and closed; its lock file lies there, and nobody holds it.
  private static func leaveStale(_ path: String) {
    let (code, socket) = withSocket(path) { Glibc.bind($0, $1, $2) }
    #expect(code == 0)
    close(socket)
    #expect(FileManager.default.createFile(atPath: path + ".lock", contents: nil))
  }

  private static func code(_ body: () throws -> Void) -> UnixListenerError.Code? {
    do { try body() } catch { return (error as? UnixListenerError)?.code }
    return nil
  }

  @Test("of many that start at one stale socket exactly one listens, and can be reached")
  func starters() throws {
    for _ in 0..<50 {
      let folder = Folder()
      Self.leaveStale(folder.socket)
      let begin = Latch<Bool>()
      let winners = Guarded<[UnixListener]>([])
      let losers = Guarded<[UnixListenerError.Code?]>([])
      let crew = ThreadCrew()
      for _ in 0..<20 {
        try crew.start(name: "starter") {
          _ = begin.wait()
          do throws(UnixListenerError) {
            let listener = try UnixListener(path: folder.socket)
            winners.withLock { $0.append(listener) }
          } catch {
            losers.withLock { $0.append(error.code) }
          }
        }
      }
      begin.set(true)
      crew.joinAll()
      #expect(winners.withLock { $0.count } == 1)
      #expect(losers.withLock { $0.count { $0 == .inUse } } == 19)
      #expect(Self.connect(folder.socket) == 0)
      #expect(try folder.names == ["s", "s.lock"])
      let socket = winners.withLock { $0.first?.accept() != nil }
      #expect(socket)
      winners.withLock { $0.removeAll() }
      #expect(try folder.names == [])
    }
  }

  @Test("nobody ever finds a socket that refuses, or that has other permissions")
  func atomicity() throws {
    let folder = Folder()
    let isDone = Latch<Bool>()
    let found = Guarded<(attempts: Int, wrong: [String])>((0, []))
    let crew = ThreadCrew()
    try crew.start(name: "watcher") {
      while isDone.current == nil {
        var status = stat()
        if lstat(folder.socket, &status) == 0, status.st_mode != S_IFSOCK | 0o640 {
          found.withLock { $0.wrong.append("mode \(status.st_mode)") }
        }
        let code = Self.connect(folder.socket)
        found.withLock { found in
          found.attempts += 1
          // Between two listeners there is nothing under the path.
          if code != 0 && code != ENOENT { found.wrong.append("\(Errno(code))") }
        }
      }
    }
    // Each goes on listening when it has given its path up: who found it may still connect.
    var listeners: [UnixListener] = []
    for _ in 0..<60 {
      let listener = try UnixListener(path: folder.socket, mode: 0o640, backlog: 4096)
      listeners.append(listener)
      sched_yield()
      listener.giveUpPath()
    }
    isDone.set(true)
    crew.joinAll()
    #expect(listeners.count == 60)
    #expect(found.withLock { $0.attempts } > 0)
    #expect(found.withLock { $0.wrong } == [])
  }

  @Test("the socket of another program is left alone while it lives, and so is a file")
  func foreign() throws {
    let folder = Folder()
    let (code, other) = Self.withSocket(folder.socket) {
      Glibc.bind($0, $1, $2) == 0 ? listen($0, 1) : -1
    }
    #expect(code == 0)
    #expect(Self.code { _ = try UnixListener(path: folder.socket) } == .inUse)
    // Now it is dead.
    close(other)
    #expect(Self.code { _ = try UnixListener(path: folder.socket) } == nil)
    #expect(FileManager.default.createFile(atPath: folder.socket, contents: Data("x".utf8)))
    #expect(Self.code { _ = try UnixListener(path: folder.socket) } == .notASocket)
    #expect(try folder.names == ["s"])
    #expect(try String(contentsOfFile: folder.socket, encoding: .utf8) == "x")
  }

  @Test("a lock file that is somebody's own file is not removed")
  func foreignLock() throws {
    let folder = Folder()
    let lock = folder.socket + ".lock"
    #expect(FileManager.default.createFile(atPath: lock, contents: Data("x".utf8)))
    _ = try UnixListener(path: folder.socket)
    #expect(try folder.names == ["s.lock"])
    try FileManager.default.removeItem(atPath: lock)
    #expect(mkfifo(lock, 0o600) == 0)
    #expect(Self.code { _ = try UnixListener(path: folder.socket) } == .notASocket)
  }

  @Test("a path that was given up is free, and the next one's socket stays")
  func successor() throws {
    let folder = Folder()
    var first: UnixListener? = try UnixListener(path: folder.socket)
    let socket = try #require(first?.takeSocket())
    #expect(first?.takeSocket() == nil)
    first?.giveUpPath()
    #expect(try folder.names == [])
    let second = try UnixListener(path: folder.socket)
    first?.giveUpPath()
    first = nil
    close(socket)
    #expect(try folder.names == ["s", "s.lock"])
    #expect(Self.connect(folder.socket) == 0)
    let accepted = (0..<2).map { _ in second.accept() != nil }
    #expect(accepted == [true, false])
  }

  @Test("a socket that came to the path later is not removed")
  func replaced() throws {
    let folder = Folder()
    do {
      let listener = try UnixListener(path: folder.socket)
      #expect(unlink(folder.socket) == 0)
      Self.leaveStale(folder.socket)
      listener.giveUpPath()
    }
    #expect(try folder.names.contains("s"))
  }

  @Test("folders may have long paths, and names that are none are refused")
  func paths() throws {
    let folder = Folder()
    let deep = folder.path + "/" + String(repeating: "d", count: 200)
    try FileManager.default.createDirectory(atPath: deep, withIntermediateDirectories: false)
    let listener = try UnixListener(path: deep + "/s")
    #expect(access(listener.path, F_OK) == 0)
    for path in ["", "/", "a/", ".", "..", "a\0b"] {
      #expect(Self.code { _ = try UnixListener(path: path) } == .badPath)
    }
    #expect(Self.code { _ = try UnixListener(path: folder.path + "/none/s") } == .system)
  }
}
