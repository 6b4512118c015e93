internal import Glibc
public import Platform

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Entry {
  /// Answers with a node, to which the client holds one more reference from now on.
  ///
  /// If the client does not get the answer (it was interrupted, or has gone), the file system's `forget`
  /// is called in its place.
  public consuming func answer(_ entry: Entry) {
    let port = _takePort()
    if !port.send(EntryOut(entry)) { port.giveBack(entry.node) }
  }

  /// Answers that there is no such name, which the client may remember for a while. (The error
  /// `ENOENT` says the same and is never remembered.)
  public consuming func answerMissing(for validity: Validity) {
    let port = _takePort()
    var out = EntryOut()
    out.setNameValidity(validity)
    port.send(out)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Attributes {
  /// Answers with attributes and how long they hold.
  public consuming func answer(_ attributes: Attributes, for validity: Validity = .infinite) {
    let port = _takePort()
    port.send(AttributesOut(attributes, validity))
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Link {
  /// Answers with the target of the link, without a NUL, at most 4095 bytes.
  public consuming func answer(_ target: RawSpan) {
    let port = _takePort()
    _ = target.withUnsafeBytes { bytes in
      bytes.count > 0 && bytes.count <= 4095 ? port.send(bytes: bytes) : port.send(error: EIO)
    }
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Open {
  /// Answers that the file or directory is open. Files want `.keepCache`, directories
  /// `[.keepCache, .cacheDirectory]` where content never changes.
  public consuming func answer(_ handle: OpenHandle, options: OpenOptions) {
    let port = _takePort()
    port.send(OpenOut(handle: handle.rawValue, options: options.rawValue))
  }

  /// Answers that the kernel reads the registered file itself from now on. As long as such an opening
  /// of a node lives, all its openings must be of this sort and with the same id.
  public consuming func answer(_ handle: OpenHandle, passthrough backing: BackingID) {
    let port = _takePort()
    // Any other option but these makes the kernel fail the open with EIO.
    let options = OpenOut.passthrough | OpenOptions.noFlush.rawValue
    port.send(OpenOut(handle: handle.rawValue, options: options, backing: backing.rawValue))
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Data {
  /// How many bytes to answer with: exactly this many, fewer only at the end of the file.
  public var count: Int { _limit }

  /// Answers with bytes that lie in memory, at most `count` of them (the rest is cut). Empty: the end.
  public consuming func answer(_ bytes: UnsafeRawBufferPointer) {
    let limit = _limit
    let port = _takePort()
    port.send(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(limit)))
  }

  /// Answers with bytes that lie in memory, at most `count` of them (the rest is cut). Empty: the end.
  public consuming func answer(_ bytes: RawSpan) {
    let limit = _limit
    let port = _takePort()
    _ = bytes.withUnsafeBytes { bytes in
      port.send(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(limit)))
    }
  }

  /// Answers with bytes that can be reached only inside of a closure, for example within a
  /// transaction: `reply.answer { send in try store.withBytes(of: digest) { send($0) } }`.
  ///
  /// The first call of `send` counts, what it is given is cut at `count`. If there was none, the answer
  /// is the error thrown, or `EIO`.
  public consuming func answer(
    lending: (_ send: (UnsafeRawBufferPointer) -> Void) throws(Errno) -> Void
  ) {
    let limit = _limit
    let port = _takePort()
    guard port.isOpen else { return }
    var isSent = false
    var failure = EIO
    do throws(Errno) {
      try lending { bytes in
        guard !isSent else { return }
        isSent = true
        port.send(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(limit)))
      }
    } catch {
      failure = error.code
    }
    if !isSent { port.send(error: failure) }
  }

  /// Answers with `byteCount` bytes of an open file, at most `count`. If they are not all there, `EIO`.
  public consuming func answer(file: CInt, offset: UInt64, count byteCount: Int) {
    let limit = _limit
    let port = _takePort()
    port.send(file: file, offset: offset, count: Swift.max(0, Swift.min(byteCount, limit)))
  }

  /// Answers with `byteCount` bytes that `fill` writes, at most `count`.
  ///
  /// `fill` gets memory of that size and returns how many bytes it wrote: anything but all of them
  /// answers `EIO`.
  public consuming func answer(
    count byteCount: Int,
    fill: (UnsafeMutableRawBufferPointer) -> Int
  ) {
    let limit = _limit
    let port = _takePort()
    port.send(count: Swift.max(0, Swift.min(byteCount, limit)), fill: fill)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Statistics {
  /// Answers with sizes.
  public consuming func answer(_ statistics: Statistics) {
    let port = _takePort()
    port.send(StatisticsOut(statistics))
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.ExtendedAttribute {
  /// Answers with a value, or its size if that was the question; `ERANGE` if it does not fit.
  public consuming func answer(_ value: RawSpan) {
    let limit = _limit
    let port = _takePort()
    if limit == 0 {
      port.send(ExtendedAttributeOut(size: UInt32(clamping: value.byteCount)))
    } else if value.byteCount > limit {
      port.send(error: ERANGE)
    } else {
      _ = value.withUnsafeBytes { port.send(bytes: $0) }
    }
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Offset {
  /// Answers with a position.
  public consuming func answer(_ offset: UInt64) {
    let port = _takePort()
    port.send(offset)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Empty {
  /// Answers success.
  public consuming func answer() {
    let port = _takePort()
    port.send(bytes: UnsafeRawBufferPointer(start: nil, count: 0))
  }
}
