package import GRPCCore

/// The two names that the same services go by; messages are equal on the wire.
package enum WireFamily: String, CaseIterable, Sendable {
  /// `tvix.castore.v1`, `tvix.store.v1`.
  case tvix
  /// `snix.castore.v1`, `snix.store.v1`.
  case snix
}

/// A service of the families.
package enum WireService: String, CaseIterable, Sendable {
  /// Blobs.
  case blobs = "castore.v1.BlobService"
  /// Directories.
  case directories = "castore.v1.DirectoryService"
  /// What is known about store paths.
  case pathInfos = "store.v1.PathInfoService"

  /// The full name in a family.
  package func name(in family: WireFamily) -> String { "\(family.rawValue).\(rawValue)" }

  /// A method of the service in a family.
  package func method(_ name: String, in family: WireFamily) -> MethodDescriptor {
    MethodDescriptor(fullyQualifiedService: self.name(in: family), method: name)
  }
}
