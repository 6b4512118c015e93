/// How a file system is mounted. Always read-only, without device files, and with the kernel checking
/// rights by the mode bits.
public struct MountOptions: Sendable {
  /// What the tables of mounts show as source. Control characters, commas and backslashes become `_`.
  public var source = "fuse"
  /// The type shows as `fuse.` and this. Letters, digits, `-` and `_`, all else becomes `_`.
  public var subtype: String?
  /// Lets other users than the mounting one in. For those who are not root only if
  /// `user_allow_other` stands in /etc/fuse.conf.
  public var allowOther = false
  /// Honours setuid bits of files: only with root's `mount(2)`.
  public var allowsSetuid = false
  /// How many threads read requests; nil: one for each core, at least two.
  public var threads: Int?
  /// How far the kernel reads ahead, in KiB; nil leaves its 128. Only root may raise it.
  public var readAheadKiB: Int?
  /// Refuses a mount point that holds anything, or at which a FUSE file system is mounted: the mount would
  /// hide it.
  public var requiresEmptyMountPoint = false
  /// Who mounts.
  public var method = Method.automatic

  /// Who mounts.
  public enum Method: Hashable, Sendable {
    /// `mount(2)`, and `fusermount3` for those who may not.
    case automatic
    /// `mount(2)`.
    case direct
    /// `fusermount3`.
    case helper
  }

  /// The usual options.
  public init() {}

  /// The source without what could end the option that it is part of, or fake a line of a table.
  var cleanSource: String {
    let clean = String(
      String.UnicodeScalarView(
        source.unicodeScalars.map {
          $0 == "," || $0 == "\\" || $0 == "\u{7f}" || $0.value < 0x20 ? "_" : $0
        }
      )
    )
    return clean.isEmpty ? "fuse" : clean
  }

  /// The subtype, reduced to what cannot be misread.
  var cleanSubtype: String? {
    guard let subtype, !subtype.isEmpty else { return nil }
    return String(
      String.UnicodeScalarView(
        subtype.unicodeScalars.map {
          ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0)
            || $0 == "-" || $0 == "_" ? $0 : "_"
        }
      )
    )
  }
}
