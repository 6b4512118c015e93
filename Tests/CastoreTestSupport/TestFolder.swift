import Foundation

/// A folder for one test, removed when the test lets go of it.
public final class TestFolder: Sendable {
  /// Where it is.
  public let path: String

  /// Makes a folder that only root may look into, unless told otherwise.
  ///
  /// - Parameter inMemory: Whether it may lie in memory: for tests that write much and need no disk.
  public init(open: Bool = false, inMemory: Bool = false) throws {
    let parent = inMemory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(parent)/castore-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if open { chmod(path, 0o755) }
  }

  deinit {
    // Deep trees are beyond what FileManager removes.
    _ = try? Shell.run("/bin/rm", ["-rf", path])
  }

  /// The path of something inside.
  public func sub(_ name: String) -> String { "\(path)/\(name)" }
}

/// Running other programs.
public enum Shell {
  /// What a program left behind.
  public struct Outcome: Sendable {
    /// Its exit code, or 128 and the signal that ended it.
    public var code: Int32
    /// What it wrote to standard output and standard error.
    public var output: String
  }

  /// Runs a program to its end.
  @discardableResult
  public static func run(_ program: String, _ arguments: [String]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let code = process.terminationStatus
    return Outcome(
      code: process.terminationReason == .exit ? code : 128 + code,
      output: String(decoding: data, as: UTF8.self)
    )
  }

  /// Runs a script of the shell, which stops at its first error.
  @discardableResult
  public static func script(_ text: String, _ arguments: String...) throws -> Outcome {
    try run("/bin/bash", ["-euo", "pipefail", "-c", text, "script"] + arguments)
  }

  /// The path of a program that is built with the tests.
  public static func built(_ name: String) throws -> String {
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
  }

  /// One line that is equal for equal trees: names, kinds, modes, link targets and contents.
  public static func fingerprint(_ tree: String) throws -> String {
    try script(
      """
      cd "$1"
      { find . -printf '%P\\t%y\\t%l\\t%m\\0' | sort -z
        find . -type f -print0 | sort -z | xargs -0 -r sha256sum -z; } | sha256sum
      """,
      tree
    ).output
  }
}
