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

/// The sizes that a parent may state for a directory.
struct DirectorySizes {
  /// The size by the rule `.specified`.
  let specified: UInt64
  /// How many entries there are.
  let entryCount: Int

  /// The size by a rule; `nil` where it does not fit 64 bits.
  func exact(_ rule: DirectorySizeRule) -> UInt64? {
    // `specified` counts every entry once already.
    let more = UInt64(entryCount) * (rule.entryWeight - 1)
    let (size, overflow) = specified.addingReportingOverflow(more)
    return overflow ? nil : size
  }

  /// Whether one of the rules gives this size.
  func accept(_ stated: UInt64) -> Bool {
    DirectorySizeRule.allCases.contains { exact($0) == stated }
  }
}
