internal import Castore

/// What times a file system shows, where the store keeps none.
public enum ModificationTime: Hashable, Sendable {
  /// All the same: so many seconds after the epoch.
  case seconds(UInt64)
  /// One that belongs to the content, within the first 2^24 seconds of the epoch (January to July 1970): equal for equal
  /// content on every mount, and another, but for an accident in sixteen million, for other content.
  case content

  /// The time of what has a digest.
  ///
  /// The seconds alone tell contents apart, since many programs look no further.
  func time(of digest: B3Digest) -> (seconds: UInt64, nanoseconds: UInt32) {
    switch self {
    case .seconds(let seconds): (seconds, 0)
    case .content:
      // Fits: less than a thousand million.
      (1 + digest.words.2 & 0xFF_FFFF, UInt32(digest.words.3 % 1_000_000_000))
    }
  }

  /// The time of the root, which is no content: its names come and go.
  var rootSeconds: UInt64 {
    switch self {
    case .seconds(let seconds): seconds
    case .content: 1
    }
  }
}
