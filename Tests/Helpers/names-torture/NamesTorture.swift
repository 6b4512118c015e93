// A process of its own for the tests of names: something to kill, or to run as another user.
//
//   names-torture put NAMES PREFIX COUNT    name PREFIX-0, PREFIX-1, ...; a line for each when it is durable
//   names-torture add NAMES COUNT           name shared-0, shared-1, ... where nobody has; a line for each
//   names-torture list NAMES                open for reading; how many roots there are, and their version
//   names-torture create NAMES              make the file

import Castore
import CastoreNames
import Glibc

@main
struct NamesTorture {
  static func main() {
    exit(run(Array(CommandLine.arguments.dropFirst())))
  }

  nonisolated static func run(_ arguments: [String]) -> CInt {
    // `as=UID` first: become that user.
    var arguments = arguments
    if let first = arguments.first, first.hasPrefix("as="), let user = uid_t(first.dropFirst(3)) {
      guard setgroups(0, nil) == 0, setgid(gid_t(user)) == 0, setuid(user) == 0 else { return 3 }
      arguments.removeFirst()
    }
    do throws(ServiceError) {
      switch (arguments.first, arguments.count) {
      case ("put", 4):
        try put(SQLiteNames(opening: arguments[1]), arguments[2], Int(arguments[3]) ?? 0)
      case ("add", 3): try add(SQLiteNames(opening: arguments[1]), Int(arguments[2]) ?? 0)
      case ("list", 2):
        let names = try SQLiteNames(opening: arguments[1], isReadOnly: true)
        var count = 0
        try names.forEachReference(unnamedSince: nil) { (_) throws(ServiceError) in count += 1 }
        say("\(count) \(try names.rootsVersion())")
      case ("create", 2): try SQLiteNames.create(at: arguments[1])
      default: return 64
      }
      return 0
    } catch {
      say("\(error.code): \(error)")
      return 1
    }
  }

  nonisolated static func put(
    _ names: SQLiteNames,
    _ prefix: String,
    _ count: Int
  ) throws(ServiceError) {
    for index in 0..<count {
      try names.putRoot(name("\(prefix)-\(index)"), node(index), replace: true)
      say("\(index)")
    }
  }

  nonisolated static func add(_ names: SQLiteNames, _ count: Int) throws(ServiceError) {
    for index in 0..<count {
      do throws(ServiceError) {
        try names.putRoot(name("shared-\(index)"), node(Int(getpid())), replace: false)
        say("\(index)")
      } catch {
        if error.code != .invalidArgument { throw error }
      }
    }
  }

  nonisolated static func name(_ text: String) throws(ServiceError) -> PathComponent {
    do throws(PathComponentError) {
      return try PathComponent(text)
    } catch {
      throw ServiceError(.invalidArgument, "\(error)")
    }
  }

  nonisolated static func node(_ index: Int) -> Node {
    let digest = B3Digest(hashing: withUnsafeBytes(of: index) { [UInt8]($0) })
    return .file(digest: digest, size: UInt64(index), isExecutable: false)
  }

  // Unbuffered: whoever reads a line knows that it happened.
  nonisolated static func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    _ = write(1, line, line.count)
  }
}
