/// How the kernel comes by the bytes of files. Holds for a whole mount.
public enum DataPath: String, Hashable, Sendable {
  /// From requests to us, kept in its page cache. OPEN is turned off: opening a file that the kernel
  /// knows costs no request.
  case cached
  /// From the blobs' own files, which it reads itself as fast as any; there is no second copy in memory.
  /// Costs two requests for each opening. What has no file is served as with `cached`.
  case passthrough
}

/// Which data path a mount takes, and why.
public struct DataPathDecision: Hashable, Sendable {
  /// The way.
  public var path: DataPath
  /// One sentence for the log.
  public var reason: String

  /// What the trees are like, as far as the decision depends on it.
  public struct Facts: Hashable, Sendable {
    /// How many files were looked at.
    public var files: UInt64
    /// How many bytes they have together.
    public var bytes: UInt64
    /// Why passthrough is out of the question, where it is.
    public var obstacle: String?

    /// Sums trees up.
    public init(files: UInt64, bytes: UInt64, obstacle: String? = nil) {
      self.files = files
      self.bytes = bytes
      self.obstacle = obstacle
    }
  }

  /// From which mean size of a file on passthrough wins.
  ///
  /// It costs some 14 µs more for every opening, and saves some 20 µs for each MiB that is read again
  /// and 440 µs for each MiB that is read for the first time: break-even for files that are
  /// read whole, over and over, lies at 0.7 MiB.
  public static let worthwhileMean: UInt64 = 700 << 10

  /// Follows a wish as far as it can be; `nil` leaves the choice to us.
  public static func make(_ wish: DataPath?, _ facts: Facts) -> DataPathDecision {
    if wish == .cached {
      return DataPathDecision(path: .cached, reason: "as told")
    }
    if let obstacle = facts.obstacle {
      return DataPathDecision(path: .cached, reason: "passthrough is not possible: \(obstacle)")
    }
    if wish == .passthrough {
      return DataPathDecision(path: .passthrough, reason: "as told")
    }
    let mean = facts.files == 0 ? 0 : facts.bytes / facts.files
    let text = "files have \(mean >> 10) KiB on average"
    return mean >= worthwhileMean
      ? DataPathDecision(path: .passthrough, reason: "\(text): reading them outweighs opening them")
      : DataPathDecision(path: .cached, reason: "\(text): opening them outweighs reading them")
  }
}
