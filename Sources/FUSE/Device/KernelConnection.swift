internal import CLinux
internal import Glibc
public import Platform

/// The kernel's end of a session over `/dev/fuse`: what a file system can ask of it on its own account.
///
/// Safe to use from any thread at any time; when the mount has ended everything fails with `ENODEV`.
/// A file system finds it in `Negotiation.kernel`.
public final class KernelConnection: Sendable {
  private struct State {
    var descriptor: CInt
    var users = 0
    var isClosing = false
  }

  private let state: Guarded<State>
  /// For those who end before the descriptor is closed (the workers, and replies that `Session.finish`
  /// waits for): they need not take the lock.
  let unguarded: CInt

  init(_ descriptor: consuming OwnedDescriptor) {
    let number = descriptor.release()
    unguarded = number
    state = Guarded(State(descriptor: number))
  }

  deinit {
    shutDown()
  }

  /// Closes the descriptor as soon as nobody uses it. With the last one the kernel ends the connection.
  func shutDown() {
    let free = state.withLock { state in
      guard !state.isClosing else { return false }
      state.isClosing = true
      return state.users == 0
    }
    if free { close(unguarded) }
  }

  /// Registers a file for passthrough. The descriptor may be closed afterwards.
  ///
  /// - Parameter file: A regular file, opened for reading, on a file system of a depth below
  ///   `maxStackDepth`.
  /// - Throws: `EPERM` without `CAP_SYS_ADMIN` or without passthrough agreed on; `ELOOP` if the file
  ///   lies on a stack of file systems (overlayfs) that is too deep.
  public func registerBacking(_ file: CInt) throws(Errno) -> BackingID {
    var map = BackingMap()
    map.descriptor = file
    let id = try withDescriptor { descriptor throws(Errno) in
      try retryingOnInterrupt { ioctl(descriptor, Self.backingOpen, &map) }
    }
    guard id > 0 else { throw Errno(EIO) }
    return BackingID(rawValue: id)
  }

  /// Takes a registration back; files that are open through it go on.
  public func closeBacking(_ id: BackingID) throws(Errno) {
    var number = UInt32(bitPattern: id.rawValue)
    _ = try withDescriptor { descriptor throws(Errno) in
      try retryingOnInterrupt { ioctl(descriptor, Self.backingClose, &number) }
    }
  }

  /// Makes the kernel forget attributes and pages of a node. Not from a request about that very node.
  public func invalidate(_ node: NodeID) throws(Errno) {
    let body = InvalidateInodeOut(node: node.rawValue, offset: 0, length: 0)
    try notify(InvalidateInodeOut.code, body, name: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Makes the kernel forget what a name in a directory stands for, also that it does not exist. Not
  /// from a request about that directory, whose lock the kernel holds then.
  public func invalidate(_ name: RawSpan, in parent: NodeID) throws(Errno) {
    guard name.byteCount > 0, name.byteCount <= 255 else { throw Errno(EINVAL) }
    let body = InvalidateEntryOut(
      parent: parent.rawValue,
      nameLength: UInt32(name.byteCount),
      flags: 0
    )
    try name.withUnsafeBytes { name throws(Errno) in
      try notify(InvalidateEntryOut.code, body, name: name)
    }
  }

  // FUSE_DEV_IOC_BACKING_OPEN, _CLOSE: _IOW(229, 1, 16 bytes), _IOW(229, 2, 4 bytes).
  private static let backingOpen: UInt = 0x4010_e501
  private static let backingClose: UInt = 0x4004_e502

  private func notify<Body: BitwiseCopyable>(
    _ code: Int32,
    _ body: Body,
    name: UnsafeRawBufferPointer
  ) throws(Errno) {
    let nameLength = name.isEmpty ? 0 : name.count + 1
    let header = ReplyHeader(
      unique: 0,
      error: code,
      bodyCount: MemoryLayout<Body>.size + nameLength
    )
    var message: [UInt8] = []
    withUnsafeBytes(of: header) { message.append(contentsOf: $0) }
    withUnsafeBytes(of: body) { message.append(contentsOf: $0) }
    if !name.isEmpty {
      message.append(contentsOf: name)
      message.append(0)
    }
    do throws(Errno) {
      _ = try withDescriptor { descriptor throws(Errno) in
        try retryingOnInterrupt { write(descriptor, message, message.count) }
      }
    } catch {
      // The kernel does not know the node or name (any more): there is nothing to forget.
      if error.code != ENOENT { throw error }
    }
  }

  func withDescriptor<Result>(
    _ body: (CInt) throws(Errno) -> Result
  ) throws(Errno) -> Result {
    let descriptor: CInt? = state.withLock { state in
      guard !state.isClosing else { return nil }
      state.users += 1
      return state.descriptor
    }
    guard let descriptor else { throw Errno(ENODEV) }
    defer {
      let last = state.withLock { state in
        state.users -= 1
        return state.isClosing && state.users == 0
      }
      if last { close(descriptor) }
    }
    return try body(descriptor)
  }
}
