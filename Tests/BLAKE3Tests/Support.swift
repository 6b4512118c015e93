import BLAKE3
import Foundation
import Platform
import Testing

/// Everything runs one after another: the instruction level is the whole process's.
@Suite("BLAKE3", .serialized)
struct BLAKE3Tests {}

/// Runs `body` at one instruction level.
func atLevel<Failure: Error>(
  _ level: BLAKE3.Level,
  _ body: () throws(Failure) -> Void
) throws(Failure) {
  #expect(BLAKE3.Level.force(level))
  defer { BLAKE3.Level.force(nil) }
  try body()
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Numbers: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      let raw = UnsafeMutableRawBufferPointer(buffer)
      for offset in stride(from: 0, to: count, by: 8) {
        withUnsafeBytes(of: next()) { word in
          UnsafeMutableRawBufferPointer(rebasing: raw[offset...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: word[..<min(8, count - offset)]))
        }
      }
      initialized = count
    }
  }
}

/// Calls `body` with a new folder, which is gone afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("blake3-tests-\(UUID().uuidString)").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// Opens a file for reading.
func openFile(_ path: String) throws -> OwnedDescriptor {
  OwnedDescriptor(adopting: try retryingOnInterrupt { open(path, O_RDONLY | O_CLOEXEC) })
}

/// The lines that the peer prints for files: one digest each, in hexadecimal.
func b3sum(_ files: [String], _ options: [String] = [], input: [UInt8] = []) throws -> [String] {
  let process = Process()
  let output = Pipe()
  let standardInput = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/b3sum")
  process.arguments = ["--no-names"] + options + files
  process.standardOutput = output
  process.standardInput = standardInput
  try process.run()
  try standardInput.fileHandleForWriting.write(contentsOf: Data(input))
  try standardInput.fileHandleForWriting.close()
  let text = try output.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  try #require(process.terminationStatus == 0, "b3sum failed")
  return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { byte in
    let digits = String(byte, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
  }.joined()
}

/// Hashes input in steps; `lengths` says how long the next one is.
func hashInSteps(
  _ input: [UInt8],
  mode: BLAKE3.Mode = .hash,
  lengths: () -> Int
) -> BLAKE3.Digest {
  var hasher = BLAKE3.Hasher(mode: mode)
  input.withUnsafeBytes { input in
    var offset = 0
    while offset < input.count {
      let length = min(lengths(), input.count - offset)
      hasher.update(UnsafeRawBufferPointer(rebasing: input[offset..<offset + length]))
      offset += length
    }
  }
  return hasher.finalize()
}
