package import Castore

/// What refers to a node, and so keeps it.
package enum NameSource: Int64, Sendable {
  /// A root: the name is the root's.
  case root = 1
  /// A path info: the name is its key.
  case pathInfo = 2
  /// A pin: the name is its note.
  case pin = 3
}

/// One reason to keep a node.
package struct NameReference: Sendable {
  /// What is kept.
  package var node: Node
  /// What refers to it.
  package var source: NameSource
  /// The name, the key or the note, as `source` says.
  package var name: [UInt8]
  /// When it lost that name, in seconds since 1970; `nil` where it has it.
  package var unnamed: Int64?
}

/// A path info, as the names keep it.
package struct NamedPathInfo: Sendable {
  /// The key.
  package var key: [UInt8]
  /// The path info's bytes.
  package var info: [UInt8]
  /// What it refers to.
  package var node: Node
}

/// A node that is kept whatever names it.
package struct PinnedNode: Sendable {
  /// The node.
  package var node: Node
  /// Why, or which name it had.
  package var note: [UInt8]
  /// Since when, in seconds since 1970.
  package var time: Int64
}

/// How many there are of each.
package struct NameCounts: Hashable, Sendable {
  /// Roots.
  package var roots: Int
  /// Path infos.
  package var pathInfos: Int
  /// Pins.
  package var pins: Int
  /// Names that were taken away and are remembered.
  package var unnamed: Int
}
