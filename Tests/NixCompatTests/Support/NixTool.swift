import Foundation

/// The real Nix, as the judge of what we compute.
enum NixTool {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Runs a command of Nix on a store of the test's own, and gives what it prints.
  ///
  /// - Parameter folder: Holds the store and everything else that Nix would put into the system.
  static func run(_ command: String, _ arguments: [String], in folder: String) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [command] + arguments
    process.currentDirectoryURL = URL(filePath: folder)
    process.environment = [
      "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
      "HOME": folder,
      "NIX_REMOTE": "local?root=\(folder)/nix-root",
      "NIX_CONFIG": "experimental-features = nix-command",
    ]
    let output = Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      throw Failure(description: "\(command) \(arguments) ended with \(process.terminationStatus)")
    }
    return [UInt8](bytes)
  }

  /// The same, for a command that prints one line.
  static func line(_ command: String, _ arguments: [String], in folder: String) throws -> String {
    String(decoding: try run(command, arguments, in: folder), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
