import CLinux
import Castore
import CastoreStorage
import CastoreTestSupport
import Foundation
import Glibc

/// A store on disk and `castore mount` processes that show it, all gone when the test lets go.
final class CastoreProcess {
  let folder: TestFolder
  let store: LocalStore
  private(set) var process: pid_t = 0

  var path: String { folder.sub("mnt") }

  init() async throws {
    folder = try TestFolder(open: true)
    store = try LocalStore(path: folder.sub("store"), create: true)
    try FileManager.default.createDirectory(
      atPath: folder.sub("mnt"),
      withIntermediateDirectories: false
    )
    for (name, count) in [("small", 1000), ("large", 400_000)] {
      let writer = try await store.openWrite()
      try await writer.write(pattern(count))
      let node = Node.file(
        digest: try await writer.close(),
        size: UInt64(count),
        isExecutable: false
      )
      let digest = try await store.put(
        Directory([NamedNode(name: PathComponent("file"), node: node)])
      )
      try store.setRoot(PathComponent(name), to: .directory(digest: digest, size: 1))
    }
  }

  deinit {
    if process != 0 { kill(process, SIGKILL) }
    // Whoever kills it reaps it.
    if process != 0 { waitpid(process, nil, 0) }
    while umount2(path, CInt(MNT_DETACH)) == 0 {}
  }

  /// Starts the program, and returns when the file system is there.
  func start(_ options: String..., environment: [String: String] = [:]) async throws {
    let before = starts
    process = try spawn(
      ["/usr/bin/env"] + environment.map { "\($0)=\($1)" }
        + [try Shell.built("castore"), "mount", "--store", "local:" + folder.sub("store")]
        + options + [path],
      errors: folder.sub("log")
    )
    while starts == before {
      if let status = reap(waiting: false) { throw CallError(code: status) }
      try await Task.sleep(for: .milliseconds(10))
    }
  }

  /// What it has written to standard error, over all starts.
  var log: String { (try? String(contentsOfFile: folder.sub("log"), encoding: .utf8)) ?? "" }

  private var starts: Int { log.components(separatedBy: "] mounted ").count }

  /// The lines of the table of mounts that concern the mount point.
  var mounts: [String] {
    let table = (try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)) ?? ""
    return table.split(separator: "\n").filter { $0.contains(" \(path) ") }.map(String.init)
  }

  func signal(_ signal: CInt) { kill(process, signal) }

  /// The exit status, or the negated signal.
  func end() async throws -> CInt {
    nonisolated(unsafe) let this = self
    return try await onThread { this.reap(waiting: true) ?? CInt.min }
  }

  var isRunning: Bool { process != 0 && kill(process, 0) == 0 && reap(waiting: false) == nil }

  private func reap(waiting: Bool) -> CInt? {
    var status: CInt = 0
    guard process != 0, waitpid(process, &status, waiting ? 0 : WNOHANG) == process else {
      return nil
    }
    process = 0
    return status & 0x7f == 0 ? (status >> 8) & 0xff : -(status & 0x7f)
  }
}
