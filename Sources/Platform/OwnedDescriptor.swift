internal import Glibc

/// A file descriptor with exactly one owner, closed when the owner lets go of it.
public struct OwnedDescriptor: ~Copyable, Sendable {
  /// The number. Valid only while this value lives: never store it.
  public let number: CInt

  /// Takes over an open descriptor. Nobody else may close it.
  public init(adopting number: CInt) {
    precondition(number >= 0, "a descriptor number is never negative")
    self.number = number
  }

  deinit {
    close(number)
  }

  /// Gives up ownership: the caller closes the descriptor.
  public consuming func release() -> CInt {
    let number = number
    discard self
    return number
  }

  /// Closes now and reports what `close(2)` says; network file systems report late write errors here.
  public consuming func closeReportingErrors() throws(Errno) {
    let number = number
    discard self
    // EINTR: the descriptor is gone on Linux all the same, a second close could hit another file.
    if close(number) == -1 && Errno.current.code != EINTR { throw Errno.current }
  }
}
