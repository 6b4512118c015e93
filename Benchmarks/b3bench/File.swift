import BLAKE3
import Glibc
import Platform

extension Bench {
  private static let fileLength = 1 << 30

  private struct Contestant {
    var name: String
    var command: [String]
    var wall: [Double] = []
    var cpu: [Double] = []

    func print(against peer: Contestant) {
      let ratio = Bench.median(peer.wall) / Bench.median(wall)
      let ratioOfCPU = Bench.median(peer.cpu) / Bench.median(cpu)
      for contestant in [self, peer] {
        let wall = Bench.decimal(Bench.median(contestant.wall) / 1e6, 0)
        let cpu = Bench.decimal(Bench.median(contestant.cpu) / 1e6, 0)
        Swift.print("  \(Bench.padded(contestant.name, 38)) \(wall) ms, \(cpu) ms of CPU")
      }
      Swift.print(
        "  \(name): \(Bench.decimal(ratio, 2)) times as fast,",
        "\(Bench.decimal(ratioOfCPU, 2)) by CPU time"
      )
    }
  }

  /// A file in the page cache, whole process against whole process.
  ///
  /// How it came there decides what mapping it costs, and so the peer's default, which maps:
  /// writing little at a time leaves small folios, writing much at a time large ones.
  static func printFile(rounds: Int) throws(Failure) {
    print("1 GiB file in the page cache, whole process")
    for step in [8 << 10, 128 << 10, 16 << 20] {
      print(" written \(step >> 10) KiB at a time")
      try printFile(rounds: rounds, writtenBy: step)
    }
  }

  private static func printFile(rounds: Int, writtenBy step: Int) throws(Failure) {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    let file = try makeFile(in: folder, by: step)
    let path = "/proc/\(getpid())/fd/\(file.number)"

    let own = "/proc/self/exe"
    var contestants = [
      Contestant(name: "ours, one thread", command: [own, "--hash", "1", path]),
      Contestant(
        name: "b3sum --num-threads 1 --no-mmap",
        command: ["b3sum", "--num-threads", "1", "--no-mmap", "--no-names", path]
      ),
      Contestant(name: "ours, two threads", command: [own, "--hash", "2", path]),
      Contestant(name: "b3sum", command: ["b3sum", "--no-names", path]),
    ]
    for round in 0...rounds {
      for index in contestants.indices {
        let (wall, cpu) = try time(contestants[index].command)
        // The first round warms up.
        if round > 0 {
          contestants[index].wall.append(wall)
          contestants[index].cpu.append(cpu)
        }
      }
    }
    contestants[0].print(against: contestants[1])
    contestants[2].print(against: contestants[3])
  }

  /// Makes the file, which has no name from the start, so that it goes with this process.
  private static func makeFile(
    in folder: String,
    by step: Int
  ) throws(Failure) -> OwnedDescriptor {
    let path = "\(folder)/b3bench-\(getpid())"
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Failure("\(path): \(Errno.current)") }
    let file = OwnedDescriptor(adopting: descriptor)
    unlink(path)
    let bytes = pseudorandom(16 << 20)
    var written = 0
    while written < fileLength {
      let start = written % bytes.count
      let length = min(step, bytes.count - start)
      let count = bytes.withUnsafeBytes { bytes in
        write(file.number, bytes.baseAddress.map { $0 + start }, length)
      }
      guard count > 0 else { throw Failure("\(path): \(Errno.current)") }
      written += count
    }
    // Written back now, not during the rounds.
    fsync(file.number)
    return file
  }

  /// Runs a command to its end with no output.
  private static func time(_ command: [String]) throws(Failure) -> (wall: Double, cpu: Double) {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)

    let start = nanoseconds(CLOCK_MONOTONIC)
    var process: pid_t = 0
    let code = posix_spawnp(&process, command[0], &actions, nil, arguments, environ)
    guard code == 0 else { throw Failure("\(command[0]): \(Errno(code))") }
    var status: CInt = 0
    var usage = rusage()
    while wait4(process, &status, 0, &usage) == -1 {
      guard Errno.current.code == EINTR else { throw Failure("wait4: \(Errno.current)") }
    }
    let end = nanoseconds(CLOCK_MONOTONIC)
    guard status == 0 else { throw Failure("\(command.joined(separator: " ")) failed") }
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    let microseconds = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return (end - start, Double(seconds) * 1e9 + Double(microseconds) * 1e3)
  }
}
