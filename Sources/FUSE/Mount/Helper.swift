internal import CLinux
internal import Glibc
internal import Platform

/// Mounts and unmounts through `fusermount3`, which is setuid root.
enum Helper {
  /// Mounts, and returns the device that it opened for us.
  static func mount(_ path: String, options: MountOptions) throws(MountError) -> OwnedDescriptor {
    var words = ["ro", "nosuid", "nodev", "default_permissions", "fsname=\(options.cleanSource)"]
    if let subtype = options.cleanSubtype { words.append("subtype=\(subtype)") }
    if options.allowOther { words.append("allow_other") }
    var sockets: [CInt] = [0, 0]
    let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &sockets) == 0 else { throw .helperMissing(Errno.current) }
    let ours = OwnedDescriptor(adopting: sockets[0])
    let theirs = OwnedDescriptor(adopting: sockets[1])
    let helper = try HelperProcess(
      ["-o", words.joined(separator: ","), "--"],
      path: Array(path.utf8),
      socket: theirs.number
    )
    // Closed here, so that a helper which dies without an answer ends the reading.
    _ = consume theirs
    let device = CLinux_receive_descriptor(ours.number)
    let (status, message) = helper.finish()
    guard device >= 0 else {
      throw .helper(path: path, message: message.isEmpty ? "fusermount3 failed" : message)
    }
    let descriptor = OwnedDescriptor(adopting: device)
    guard status == 0 else { throw .helper(path: path, message: message) }
    return descriptor
  }

  static func unmount(_ place: [UInt8], lazily: Bool) throws(MountError) {
    let flags = lazily ? ["-u", "-z"] : ["-u"]
    let helper = try HelperProcess(flags + ["--"], path: place, socket: nil)
    let (status, message) = helper.finish()
    guard status != 0 else { return }
    let path = String(decoding: place, as: UTF8.self)
    if message.contains("busy") { throw .unmount(path: path, Errno(EBUSY)) }
    throw .helper(path: path, message: message.isEmpty ? "fusermount3 -u failed" : message)
  }
}

/// A running `fusermount3`.
private struct HelperProcess: ~Copyable {
  private let process: pid_t
  private let errors: OwnedDescriptor

  init(_ arguments: [String], path: [UInt8], socket: CInt?) throws(MountError) {
    var ends: [CInt] = [0, 0]
    guard
      socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
    else { throw .helperMissing(Errno.current) }
    let errors = OwnedDescriptor(adopting: ends[0])
    let theirErrors = OwnedDescriptor(adopting: ends[1])

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, theirErrors.number, 2)
    if let socket { posix_spawn_file_actions_adddup2(&actions, socket, Self.socketNumber) }

    // The caller may block signals in its threads; the helper must not inherit that.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

    var argumentPointers: [UnsafeMutablePointer<CChar>?] =
      (["fusermount3"] + arguments).map { strdup($0) }
      + [strdup(path.map { CChar(bitPattern: $0) } + [0]), nil]
    var environmentPointers: [UnsafeMutablePointer<CChar>?] = Self.environment().map { strdup($0) }
    if socket != nil {
      environmentPointers.append(strdup("_FUSE_COMMFD=\(Self.socketNumber)"))
    }
    environmentPointers.append(nil)
    defer {
      for pointer in argumentPointers + environmentPointers { free(pointer) }
    }
    var process = pid_t()
    let code = posix_spawnp(
      &process,
      "fusermount3",
      &actions,
      &attributes,
      &argumentPointers,
      &environmentPointers
    )
    guard code == 0 else { throw .helperMissing(Errno(code)) }
    self.process = process
    self.errors = errors
  }

  /// Which number the socket has in the helper.
  private static let socketNumber: CInt = 3

  /// Our environment in the C locale, for messages that can be recognised.
  private static func environment() -> [String] {
    var result = ["LC_ALL=C"]
    guard var next = CLinux_environ() else { return result }
    while let variable = next.pointee {
      let text = String(cString: variable)
      if !text.hasPrefix("LC_ALL=") && !text.hasPrefix("_FUSE_COMMFD=") { result.append(text) }
      next += 1
    }
    return result
  }

  /// Waits for the end; the exit status (-1 for a signal) and what it wrote to standard error.
  consuming func finish() -> (status: Int32, message: String) {
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    let file = errors.number
    while let count = try? retryingOnInterrupt({ read(file, &chunk, chunk.count) }), count > 0 {
      // Bounded, whatever the helper writes.
      if text.count < 65536 { text.append(contentsOf: chunk[..<count]) }
    }
    var status: Int32 = 0
    let process = process
    _ = try? retryingOnInterrupt { waitpid(process, &status, 0) }
    let exited = status & 0x7f == 0 ? (status >> 8) & 0xff : -1
    while text.last == UInt8(ascii: "\n") { text.removeLast() }
    return (exited, String(decoding: text, as: UTF8.self))
  }
}
