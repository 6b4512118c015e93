import CLinux
import FUSE
import Foundation
import Glibc
import Platform
import Testing

/// A folder for one test, with everything mounted in it detached at the end.
final class MountFixture {
  let folder: String

  init() throws {
    var template = Array("/tmp/fuse-test-XXXXXX".utf8CString)
    guard let path = mkdtemp(&template) else { throw Errno.current }
    folder = String(cString: path)
  }

  deinit {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      while umount2("\(folder)/\(name)", Int32(MNT_DETACH)) == 0 {}
    }
    try? FileManager.default.removeItem(atPath: folder)
  }

  func directory(_ name: String) throws -> String {
    let path = "\(folder)/\(name)"
    guard mkdir(path, 0o755) == 0 else { throw Errno.current }
    return path
  }

  func file(_ name: String, _ content: [UInt8]) throws -> CInt {
    let path = "\(folder)/\(name)"
    try Data(content).write(to: URL(fileURLWithPath: path))
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { throw Errno.current }
    return number
  }
}

/// Runs blocking work on a thread of its own, so that tasks of the server under test find a thread.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value
{
  let latch = Latch<Result<Value, any Error>>()
  _ = try NativeThread(name: "test") { latch.set(Result { try body() }) }
  return try await latch.get().get()
}

/// Runs a program; its exit status (negated signal) and output.
func run(_ arguments: String...) async throws -> (status: Int32, output: String) {
  try await onThread {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let status = process.terminationStatus
    return (
      process.terminationReason == .exit ? status : -status,
      String(decoding: data, as: UTF8.self)
    )
  }
}

/// Reads at an offset; the bytes or the error.
func readAt(_ path: String, _ offset: Int, _ count: Int) -> Result<[UInt8], Errno> {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { return .failure(Errno.current) }
  defer { close(file) }
  var buffer = [UInt8](repeating: 0, count: count)
  let result = pread(file, &buffer, count, offset)
  return result < 0 ? .failure(Errno.current) : .success(Array(buffer[..<result]))
}

/// Starts a program that takes signals as one started from a terminal does, whatever this process and
/// its threads block or ignore.
func spawn(_ arguments: [String]) throws -> pid_t {
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var none = sigset_t()
  sigemptyset(&none)
  posix_spawnattr_setsigmask(&attributes, &none)
  var all = sigset_t()
  sigfillset(&all)
  posix_spawnattr_setsigdefault(&attributes, &all)
  let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
  posix_spawnattr_setflags(&attributes, Int16(flags))
  var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
  defer {
    for pointer in pointers { free(pointer) }
  }
  var process = pid_t()
  let code = posix_spawnp(&process, arguments[0], nil, &attributes, &pointers, CLinux_environ())
  guard code == 0 else { throw Errno(code) }
  return process
}
