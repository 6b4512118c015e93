import Foundation
import Glibc
import Synchronization

/// A folder of a test's own. When the test lets go of it, whatever is mounted below it is unmounted,
/// and it is removed.
final class Scratch: Sendable {
  let path: String
  private let names = Atomic<Int>(0)

  init() throws {
    path = NSTemporaryDirectory() + "castore-integration-\(UUID().uuidString)"
    try check(mkdir(path, 0o755), "mkdir")
  }

  deinit {
    for point in Self.mountPoints(below: path).reversed() {
      _ = point.withCPath { umount2($0, CInt(MNT_DETACH)) }
    }
    // Not Foundation: names that are not UTF-8, and paths too long for one call.
    var arguments = ["rm", "-rf", "--", path].map { (word: String) in strdup(word) }
    arguments.append(nil)
    defer { for pointer in arguments { free(pointer) } }
    var pid = pid_t()
    var status: CInt = 0
    guard posix_spawnp(&pid, "rm", nil, nil, arguments, environ) == 0 else { return }
    while waitpid(pid, &status, 0) == -1 && errno == EINTR {}
  }

  /// A path in the folder that nothing stands at.
  func newName(_ kind: String) -> String {
    "\(path)/\(kind)-\(names.add(1, ordering: .relaxed).newValue)"
  }

  func makeFolder(_ kind: String = "folder") throws -> String {
    let path = newName(kind)
    try check(mkdir(path, 0o755), "mkdir")
    return path
  }

  /// A disk of so many MiB.
  func makeDisk(mebibytes: Int) throws -> String {
    let path = try makeFolder("disk")
    try check(mount("tmpfs", path, "tmpfs", 0, "size=\(mebibytes)m"), "mount")
    return path
  }

  /// Runs a program to its end.
  @discardableResult
  func run(_ words: any Word..., folder: String? = nil) throws -> Outcome {
    try Child(words, scratch: self, folder: folder).wait()
  }

  /// Runs a program that must succeed.
  @discardableResult
  func succeed(_ words: any Word..., folder: String? = nil) throws -> Outcome {
    let outcome = try Child(words, scratch: self, folder: folder).wait()
    guard outcome.status == .exited(0) else { throw CallError("\(words): \(outcome)", 0) }
    return outcome
  }

  /// Everything that is mounted at or below a path, in the order of mounting.
  static func mountPoints(below path: String) -> [[UInt8]] {
    guard let table = try? readAll("/proc/self/mountinfo") else { return [] }
    return table.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let fields = line.split(separator: UInt8(ascii: " "))
      guard fields.count > 4 else { return nil }
      let point = [UInt8](fields[4])
      return point == path.bytes || point.starts(with: (path + "/").utf8) ? point : nil
    }
  }
}
