internal import CLinux
internal import Glibc
internal import Platform

/// Whether files can be passed through, as far as can be told before mounting.
///
/// The kernel has the last word: it says in INIT whether it knows passthrough at all, and at the first
/// registration whether the file will do.
public enum PassthroughSupport {
  /// What stands in the way, as a sentence without its end; `nil` where nothing is known to.
  public static func obstacle() -> String? {
    guard let status = try? readFile("/proc/self/status"),
      let users = try? readFile("/proc/self/uid_map")
    else { return nil }
    return obstacle(status: status, users: users)
  }

  static func obstacle(status: [UInt8], users: [UInt8]) -> String? {
    let administrator: UInt64 = 1 << 21
    for line in status.split(separator: UInt8(ascii: "\n")) {
      let fields = String(decoding: line, as: UTF8.self).split(separator: "\t")
      guard fields.count == 2, fields[0] == "CapEff:" else { continue }
      if let set = UInt64(fields[1], radix: 16), set & administrator == 0 {
        return "it needs the capability CAP_SYS_ADMIN, that is, root"
      }
    }
    // Only the first user namespace maps all of them to themselves.
    let map = String(decoding: users, as: UTF8.self).split(whereSeparator: { " \n".contains($0) })
    if map != ["0", "0", "4294967295"] {
      return "it needs the capability CAP_SYS_ADMIN outside of containers' user namespaces"
    }
    return nil
  }

  /// The `maxStackDepth` that files in a folder need: 2 on a file system that lies on others, 1 elsewhere.
  /// Corresponds to `statfs(2)`.
  public static func stackDepth(of folder: String) -> UInt32 {
    var status = statfs()
    guard statfs(folder, &status) == 0 else { return 1 }
    let stacked = [0x794c_7630 /* overlayfs */, 0xf15f /* ecryptfs */]
    return stacked.contains(Int(status.f_type)) ? 2 : 1
  }
}
