import BLAKE3
import Glibc
import Platform

/// BLAKE3's speed, as ratios to `b3sum` in the same run.
///
/// Every figure is a median of rounds in which the contestants take turns. It never fails for
/// being slow: it prints, the reader judges.
///
///     b3bench [ROUNDS]            all figures; 9 rounds unless told otherwise
///     b3bench --hash WORKERS FILE hashes a file and prints the digest; what is measured
@main
enum Bench {
  static func main() {
    let arguments = CommandLine.arguments
    do throws(Failure) {
      if arguments.count == 4 && arguments[1] == "--hash" {
        return try hash(arguments[3], workers: Int(arguments[2]) ?? 1)
      }
      let rounds = arguments.count > 1 ? Int(arguments[1]) ?? 0 : 9
      guard rounds > 0 else { throw Failure("usage: b3bench [ROUNDS]") }
      printLevels(rounds: rounds)
      printSmallInputs(rounds: rounds)
      try printFile(rounds: rounds)
    } catch {
      let line = [UInt8]("b3bench: \(error.message)\n".utf8)
      _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
      exit(1)
    }
  }

  private static func hash(_ path: String, workers: Int) throws(Failure) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Failure("\(path): \(Errno.current)") }
    let file = OwnedDescriptor(adopting: descriptor)
    do {
      print(try BLAKE3.hashFile(file, workers: workers).digest)
    } catch {
      throw Failure("\(path): \(error)")
    }
  }
}

/// Why there are no figures.
struct Failure: Error {
  var message: String

  init(_ message: String) {
    self.message = message
  }
}
