internal import Glibc
public import Platform

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Entry {
  /// Answers with a node, to which the client holds one more reference from now on.
  public consuming func answer(_ entry: Entry) {
    guard let port = _takePort() else { return }
    port.send(EntryOut(entry))
  }

  /// Answers that there is no such name, which the client may remember for a while. (The error
  /// `ENOENT` says the same and is never remembered.)
  public consuming func answerMissing(for validity: Validity) {
    guard let port = _takePort() else { return }
    var out = EntryOut()
    out.setNameValidity(validity)
    port.send(out)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Attributes {
  /// Answers with attributes and how long they hold.
  public consuming func answer(_ attributes: Attributes, for validity: Validity = .infinite) {
    guard let port = _takePort() else { return }
    port.send(AttributesOut(attributes, validity))
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Link {
  /// Answers with the target of the link, without a NUL, at most 4095 bytes.
  public consuming func answer(_ target: UnsafeRawBufferPointer) {
    guard let port = _takePort() else { return }
    guard target.count > 0, target.count <= 4095 else { return port.send(error: EIO) }
    port.send(bytes: target)
  }

  /// Answers with the target of the link, without a NUL, at most 4095 bytes.
  public consuming func answer(_ target: RawSpan) {
    guard let port = _takePort() else { return }
    target.withUnsafeBytes { bytes in
      guard bytes.count > 0, bytes.count <= 4095 else { return port.send(error: EIO) }
      port.send(bytes: bytes)
    }
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Open {
  /// Answers that the file or directory is open. Files want `.keepCache`, directories
  /// `[.keepCache, .cacheDirectory]` where content never changes.
  public consuming func answer(_ handle: OpenHandle, options: OpenOptions) {
    guard let port = _takePort() else { return }
    port.send(OpenOut(handle: handle.rawValue, options: options.rawValue))
  }

  /// Answers that the kernel reads the registered file itself from now on. As long as such an opening
  /// of a node lives, all its openings must be of this sort and with the same id.
  public consuming func answer(_ handle: OpenHandle, passthrough backing: BackingID) {
    guard let port = _takePort() else { return }
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
    guard let port = _takePort() else { return }
    port.send(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(limit)))
  }

  /// Answers with bytes that lie in memory, at most `count` of them (the rest is cut). Empty: the end.
  public consuming func answer(_ bytes: RawSpan) {
    let limit = _limit
    guard let port = _takePort() else { return }
    bytes.withUnsafeBytes { bytes in
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
    guard let port = _takePort() else { return }
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
    guard let port = _takePort() else { return }
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
    guard let port = _takePort() else { return }
    port.send(count: Swift.max(0, Swift.min(byteCount, limit)), fill: fill)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Statistics {
  /// Answers with sizes.
  public consuming func answer(_ statistics: Statistics) {
    guard let port = _takePort() else { return }
    port.send(StatisticsOut(statistics))
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.ExtendedAttribute {
  /// Answers with a value, or its size if that was the question; `ERANGE` if it does not fit.
  public consuming func answer(_ value: UnsafeRawBufferPointer) {
    let limit = _limit
    guard let port = _takePort() else { return }
    if limit == 0 {
      port.send(ExtendedAttributeOut(size: UInt32(clamping: value.count)))
    } else if value.count > limit {
      port.send(error: ERANGE)
    } else {
      port.send(bytes: value)
    }
  }

  /// Answers with a value, or its size if that was the question; `ERANGE` if it does not fit.
  public consuming func answer(_ value: RawSpan) {
    let limit = _limit
    guard let port = _takePort() else { return }
    value.withUnsafeBytes { value in
      if limit == 0 {
        port.send(ExtendedAttributeOut(size: UInt32(clamping: value.count)))
      } else if value.count > limit {
        port.send(error: ERANGE)
      } else {
        port.send(bytes: value)
      }
    }
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Offset {
  /// Answers with a position.
  public consuming func answer(_ offset: UInt64) {
    guard let port = _takePort() else { return }
    port.send(offset)
  }
}

extension Answering where Self: ~Copyable & ~Escapable, Kind == ReplyKind.Empty {
  /// Answers success.
  public consuming func answer() {
    guard let port = _takePort() else { return }
    port.send(bytes: UnsafeRawBufferPointer(start: nil, count: 0))
  }
}
