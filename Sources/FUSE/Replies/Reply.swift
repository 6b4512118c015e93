internal import Glibc
public import Platform

/// What can end a request once: a reply in the hands of the transport's thread, or a detached one.
public protocol Answering<Kind>: ~Copyable, ~Escapable {
  /// What the answer consists of.
  associatedtype Kind

  /// Ends the reply's life and hands out the way to the client.
  consuming func _takePort() -> ReplyPort

  /// How many bytes the client asked for at most; 0 where that has no meaning.
  var _limit: Int { get }

  /// True for READDIRPLUS.
  var _wantsEntries: Bool { get }
}

extension Answering where Self: ~Copyable & ~Escapable {
  /// Answers with an error. 0 and numbers that the protocol cannot carry become `EIO`.
  public consuming func fail(_ error: Errno) {
    _takePort().send(error: error.code)
  }
}

/// The one chance to answer a request, lent to a method of the file system.
///
/// Answering consumes it. Dropped unanswered it answers `EIO`, so that no client hangs. It cannot be
/// kept or sent to another thread: `detach` makes a handle that can.
public struct Reply<Kind>: ~Copyable, ~Escapable, Answering {
  // Unmanaged, so that handling a request touches no reference count. Safe: a reply cannot escape the
  // file system's method that it was passed to, which the worker calls (and so outlives).
  let worker: Unmanaged<Worker>
  let unique: UInt64
  let token: UInt
  /// Most bytes that may follow the header.
  let capacity: Int
  /// What the client asked for.
  public let _limit: Int
  /// Whether a listing is to carry attributes.
  public let _wantsEntries: Bool

  @_lifetime(borrow worker)
  init(worker: borrowing Worker, unique: UInt64, limit: Int, wantsEntries: Bool = false) {
    self.worker = Unmanaged.passUnretained(copy worker)
    self.unique = unique
    self.token = worker.token
    self.capacity = worker.capacity
    self._limit = limit
    self._wantsEntries = wantsEntries
  }

  deinit {
    port.send(error: EIO)
  }

  var port: ReplyPort {
    ReplyPort(way: .attached(worker, unique: unique, token: token, capacity: capacity))
  }

  /// Ends the reply's life without an answer.
  public consuming func _takePort() -> ReplyPort {
    let port = port
    discard self
    return port
  }
}
