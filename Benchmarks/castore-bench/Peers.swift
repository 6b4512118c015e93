import Glibc

/// A file system that shows the tree of the benchmark.
protocol Peer {
  /// What it is called in the table.
  var name: String { get }

  /// What it reads: a folder or an image on the disk.
  var origin: String { get }

  /// Brings it up with cold caches of its own.
  ///
  /// - Returns: Where the tree is.
  func start() throws -> String

  /// Takes it away again.
  func stop() throws
}

/// The disk itself.
struct NativePeer: Peer {
  let name = "native"
  let tree: String
  var origin: String { tree }

  func start() -> String { tree }

  func stop() {}
}

/// A server in the foreground that mounts.
final class ServerPeer: Peer {
  let name: String
  private let mountpoint: String
  private let path: String
  let origin: String
  private let command: [String]
  private var server: Child?

  init(_ name: String, mountpoint: String, path: String = "", origin: String, command: [String]) {
    self.name = name
    self.mountpoint = mountpoint
    self.path = path
    self.origin = origin
    self.command = command
  }

  func start() throws -> String {
    try shell("mkdir -p \"$1\"", mountpoint)
    let server = try Child(command)
    self.server = server
    for _ in 0..<200 {
      if isMounted() { return mountpoint + path }
      usleep(50_000)
    }
    server.end()
    throw BenchError("\(name) did not mount")
  }

  func stop() throws {
    // With the name gone the server ends by itself.
    try shell("umount \"$1\"", mountpoint)
    server?.wait()
    server = nil
  }

  private func isMounted() -> Bool {
    var here = stat()
    var above = stat()
    return lstat(mountpoint, &here) == 0 && lstat(mountpoint + "/..", &above) == 0
      && here.st_dev != above.st_dev
  }

  /// Resident memory in bytes.
  var residentBytes: Int {
    guard let server, let file = fopen("/proc/\(server.pid)/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return 0 }
    let words = String(
      decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
      as: UTF8.self
    )
    .split(separator: " ")
    return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
  }
}

/// A file system of the kernel, mounted from an image.
struct KernelPeer: Peer {
  let name: String
  let type: String
  let image: String
  var origin: String { image }
  let mountpoint: String

  func start() throws -> String {
    try shell("mkdir -p \"$1\"; mount -t \"$2\" -o ro,loop \"$3\" \"$1\"", mountpoint, type, image)
    return mountpoint
  }

  func stop() throws {
    try shell("umount \"$1\"", mountpoint)
  }
}
