internal import CLinux
internal import Glibc

/// Stretches of memory that together hold a request or take a reply.
///
/// The pointers are valid as long as the `GuestMemory` that they come from.
struct SegmentList {
  private(set) var segments: [iovec] = []
  private(set) var byteCount = 0

  /// Adds a stretch; one that follows the last directly makes it longer.
  mutating func append(_ base: UnsafeMutableRawPointer, count: Int) {
    // No overflow: callers limit the sum to 2^32.
    byteCount += count
    if let last = segments.indices.last, segments[last].iov_base + segments[last].iov_len == base {
      segments[last].iov_len += count
    } else {
      segments.append(iovec(iov_base: base, iov_len: count))
    }
  }

  /// Empties the list. Keeps memory for short lists only: there is one list for each descriptor.
  mutating func removeAll() {
    segments.removeAll(keepingCapacity: segments.capacity <= 64)
    byteCount = 0
  }

  /// Copies the beginning of the segments, as much as there is and fits.
  ///
  /// - Returns: The number of bytes.
  func gather(into target: UnsafeMutableRawBufferPointer) -> Int {
    guard var to = target.baseAddress else { return 0 }
    var room = target.count
    for segment in segments where room > 0 {
      let part = min(room, segment.iov_len)
      CLinux_copy_shared(to, segment.iov_base, part)
      to += part
      room -= part
    }
    return target.count - room
  }

  /// Copies bytes to a position of the segments.
  ///
  /// - Precondition: They fit.
  func scatter(_ bytes: UnsafeRawBufferPointer, at position: Int) {
    precondition(position >= 0 && position <= byteCount - bytes.count, "a reply fits its segments")
    guard var from = bytes.baseAddress else { return }
    var rest = bytes.count
    var skip = position
    for segment in segments where rest > 0 {
      guard skip < segment.iov_len else {
        skip -= segment.iov_len
        continue
      }
      let part = min(rest, segment.iov_len - skip)
      memcpy(segment.iov_base + skip, from, part)
      from += part
      rest -= part
      skip = 0
    }
  }

  /// Reads bytes of a file right into the segments, from a position on.
  ///
  /// - Precondition: They fit.
  /// - Returns: False if not all could be read. What lies behind the position is undefined then.
  /// Corresponds to `preadv(2)`.
  func read(file: CInt, offset: Int64, count: Int, at position: Int) -> Bool {
    precondition(position >= 0 && position <= byteCount - count, "a reply fits its segments")
    guard count > 0 else { return true }
    // No more than one system call takes, or than there can be.
    return withUnsafeTemporaryAllocation(
      of: iovec.self,
      capacity: min(segments.count, Self.vectorLimit)
    ) { vector in
      var cursor = Cursor(self, at: position)
      var rest = count
      while rest > 0 {
        let (length, bytes) = cursor.fill(vector, atMost: rest)
        // No overflow: the file would have to be larger than any can be, and preadv refuses it.
        let at = off_t(offset) &+ (count - rest)
        let result = preadv(file, vector.baseAddress, CInt(length), at)
        if result == -1 && errno == EINTR { continue }
        // An early end of the file is a failure: so many bytes were promised.
        guard result > 0, result <= bytes else { return false }
        cursor.advance(by: result)
        rest -= result
      }
      return true
    }
  }

  /// IOV_MAX.
  private static let vectorLimit = 1024

  /// A position in the list.
  private struct Cursor {
    let segments: [iovec]
    var index = 0
    var skip = 0

    init(_ list: SegmentList, at position: Int) {
      segments = list.segments
      advance(by: position)
    }

    mutating func advance(by count: Int) {
      skip += count
      while index < segments.count, skip >= segments[index].iov_len {
        skip -= segments[index].iov_len
        index += 1
      }
    }

    /// Lists what follows without moving on: how many stretches, and bytes.
    func fill(
      _ vector: UnsafeMutableBufferPointer<iovec>,
      atMost limit: Int
    ) -> (length: Int, bytes: Int) {
      var length = 0
      var bytes = 0
      var skip = skip
      while length < vector.count, index + length < segments.count, bytes < limit {
        let segment = segments[index + length]
        let part = min(segment.iov_len - skip, limit - bytes)
        vector.initializeElement(
          at: length,
          to: iovec(iov_base: segment.iov_base + skip, iov_len: part)
        )
        bytes += part
        length += 1
        skip = 0
      }
      return (length, bytes)
    }
  }
}
