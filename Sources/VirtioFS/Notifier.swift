internal import CLinux
internal import Glibc
internal import Platform

/// An eventfd: ours, or one that the front end passed for kicks and calls.
///
/// Never blocks. Safe to use from any thread.
final class Notifier: Sendable {
  private let descriptor: OwnedDescriptor
  /// Whether its description has `O_NONBLOCK`. The front end and the kernel's own users of the eventfd share
  /// the description, so it is not ours to set.
  private let isNonblocking: Bool

  /// For `poll(2)`, while the notifier lives.
  var number: CInt { descriptor.number }

  /// A new one.
  /// Corresponds to `eventfd(2)`.
  init() throws(Errno) {
    let number = try retryingOnInterrupt {
      eventfd(0, CInt(CLinux_EFD_CLOEXEC) | CInt(CLinux_EFD_NONBLOCK))
    }
    descriptor = OwnedDescriptor(adopting: number)
    isNonblocking = true
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
    isNonblocking = fcntl(descriptor.number, F_GETFL) & O_NONBLOCK != 0
    self.descriptor = descriptor
  }

  /// Wakes whoever waits for it. If it is signalled to the brim already, that will do.
  func signal() {
    if !isNonblocking {
      var file = pollfd(fd: descriptor.number, events: Int16(POLLOUT), revents: 0)
      guard poll(&file, 1, 0) == 1, file.revents & Int16(POLLOUT) != 0 else { return }
    }
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
      // Somebody else may be faster than we are, also after `poll` said that there is something.
      let result =
        isNonblocking
        ? read(descriptor.number, &count, 8) : CLinux_eventfd_read(descriptor.number, &count)
      if result == 8 { return true }
      if result == -1 && errno == EINTR { continue }
      return result == -1 && errno == EAGAIN
    }
  }
}
