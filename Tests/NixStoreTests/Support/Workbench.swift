import CastoreTestSupport
import Foundation

/// The `castore` binary, a store, and a Nix store with the paths of `/nix/store`, all of the test's own.
final class Workbench: Sendable {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  let folder: TestFolder

  init() throws {
    folder = try TestFolder(inMemory: true)
  }

  /// Runs a script that stops at its first error, in the test's folder; standard output comes back.
  ///
  /// `castore` is the binary of this build (`$binary` its path), `nix-store` and the like work on the test's own store.
  @discardableResult
  func run(_ script: String) throws -> String {
    let (status, output, errors) = try start(script)
    guard status == 0 else {
      throw Failure(description: "\(script)\nended with \(status):\n\(output)\n\(errors)")
    }
    return output.trimmingCharacters(in: .newlines)
  }

  /// Runs a script that must fail with status 1; standard error comes back.
  func fail(_ script: String) throws -> String {
    let (status, output, errors) = try start(script)
    guard status == 1 else {
      throw Failure(description: "\(script)\nended with \(status):\n\(output)\n\(errors)")
    }
    return errors
  }

  private func start(_ script: String) throws -> (Int32, String, String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    let binary = try Shell.built("castore")
    let preamble = """
      set -euo pipefail; export LC_ALL=C
      binary="\(binary)"; castore() { "$binary" "$@"; }

      """
    process.arguments = ["-c", preamble + script]
    process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
    process.environment = [
      "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin",
      "HOME": folder.path,
      "CASTORE_STORE": "local:\(folder.path)/store",
      "NIX_REMOTE": "local?root=\(folder.path)/nix-root",
      "NIX_CONFIG": "experimental-features = nix-command",
    ]
    let errorPath = folder.sub(".errors")
    _ = FileManager.default.createFile(atPath: errorPath, contents: nil)
    let errors = FileHandle(forWritingAtPath: errorPath)
    let output = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = try String(contentsOfFile: errorPath, encoding: .utf8)
    return (process.terminationStatus, String(decoding: data, as: UTF8.self), text)
  }

  /// Makes a tree of what is easily got wrong, called `nasty`.
  func makeNastyTree() throws {
    try run(
      #"""
      mkdir nasty && cd nasty
      mkdir "empty folder"
      for size in 0 1 7 8 9 4095 4096 65535 65536 65537 262144 1048577; do
        head -c $size /dev/urandom > file-$size
        cp file-$size exe-$size && chmod 755 exe-$size
      done
      head -c 9000000 /dev/urandom > large
      # Only the owner's bit makes a file executable.
      echo group > group && chmod 654 group
      for name in a a. a- a0 aa B ä 名 $'line\nbreak' $'tab\t' '~' ... $'\xff\xfe\x80' \
        "$(printf 'n%.0s' {1..255})"; do
        printf %s "$name" > "$name"
      done
      ln -s /nowhere/at/all dangling
      ln -s $'\xff\x01' "not UTF-8"
      ln -s "$(printf 't%.0s' {1..4095})" "long link" 
      mkdir deep && cd deep
      for level in {1..60}; do ln -s .. zz-link; mkdir level-$level; cd level-$level; done
      """#
    )
  }
}
