internal import CLinux
internal import Glibc
internal import Platform

/// An eventfd: ours, or one that the front end passed for kicks and calls.
///
/// Never blocks. Safe to use from any thread.
final class Notifier: Sendable {
  private let descriptor: OwnedDescriptor

  /// For `poll(2)`, while the notifier lives.
  var number: CInt { descriptor.number }

  /// A new one.
  /// Corresponds to `eventfd(2)`.
  init() throws(Errno) {
    let number = try retryingOnInterrupt {
      eventfd(0, CInt(CLinux_EFD_CLOEXEC) | CInt(CLinux_EFD_NONBLOCK))
    }
    descriptor = OwnedDescriptor(adopting: number)
  }

  /// One of the front end.
  ///
  /// - Throws: If it is a file of another sort: writing into a pipe could raise SIGPIPE, for example.
  init(adopting descriptor: consuming OwnedDescriptor) throws(FrontEndFault) {
    var status = stat()
    // What is neither file, pipe, socket nor device is an anonymous inode of the kernel. Those that are
    // no eventfd refuse to be written, or read.
    guard fstat(descriptor.number, &status) == 0, status.st_mode & S_IFMT == 0 else {
      throw FrontEndFault("a descriptor for kicks, calls or errors is no eventfd")
    }
    // The front end could fill it up or drain it under us: no call on it may block.
    let flags = fcntl(descriptor.number, F_GETFL)
    if flags != -1 { _ = fcntl(descriptor.number, F_SETFL, flags | O_NONBLOCK) }
    self.descriptor = descriptor
  }

  /// Wakes whoever waits for it. If it is signalled to the brim already, that will do.
  func signal() {
    var one: UInt64 = 1
    while write(descriptor.number, &one, 8) == -1 && errno == EINTR {}
  }

  /// Takes all signals back.
  ///
  /// - Returns: False if there never will be one: it is no eventfd.
  @discardableResult
  func consume() -> Bool {
    var count: UInt64 = 0
    while true {
      let result = read(descriptor.number, &count, 8)
      if result == 8 { return true }
      if result == -1 && errno == EINTR { continue }
      return result == -1 && errno == EAGAIN
    }
  }
}
