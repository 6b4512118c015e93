import CLinux
import Glibc

/// What a process does to a mounted file that a test must not do itself, since it may die of it.
@main
enum FSClient {
  static func main() {
    let arguments = CommandLine.arguments
    guard arguments.count >= 3 else { exit(64) }
    switch arguments[1] {
    case "touch-map": touchMap(arguments[2], page: Int(arguments[3]) ?? 0)
    case "sit": sit(arguments[2])
    case "read-direct": readDirect(arguments[2])
    default: exit(64)
    }
  }

  /// Maps eight pages, whatever the file's length, and reads the first byte of one of them.
  static func touchMap(_ path: String, page: Int) {
    let file = open(path, O_RDONLY)
    guard file >= 0, let map = mmap(nil, 8 * 4096, PROT_READ, MAP_PRIVATE, file, 0),
      map != MAP_FAILED
    else { exit(2) }
    print(map.load(fromByteOffset: page * 4096, as: UInt8.self))
  }

  /// Makes a directory the working directory, says so, and waits for the end of its input.
  static func sit(_ path: String) {
    guard chdir(path) == 0 else { exit(2) }
    print("here")
    fflush(nil)
    while getchar() != EOF {}
  }

  /// Reads a page past the page cache: the one way to wait so that a signal interrupts.
  static func readDirect(_ path: String) {
    let file = open(path, O_RDONLY | CLinux_O_DIRECT)
    guard file >= 0,
      let buffer = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    else { exit(2) }
    exit(read(file, buffer, 4096) >= 0 ? 0 : 3)
  }
}
