/// How the size of a directory is computed from its entries.
///
/// The size stands in the encoding of the parent, so that the digest of every tree with a directory
/// in a directory depends on the rule.
public enum DirectorySizeRule: String, Hashable, Sendable, CaseIterable {
  /// The number of entries plus the sizes of the child directories: what the format specifies.
  case specified
  /// Twice the number of entries plus the sizes of the child directories: what Tvix since August
  /// 2024 and every Snix compute, and demand of what is put into them.
  case snix

  /// How often each entry counts.
  var entryWeight: UInt64 { self == .specified ? 1 : 2 }
}
