import Castore

@testable import CastoreStorage

/// Sets many roots in one transaction.
func setRoots(_ store: LocalStore, _ names: [PathComponent], to node: Node) throws {
  try store.core.index.write { (writer) throws(ServiceError) in
    for name in names {
      let value = node.encoded()
      try name.bytes.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        try value.span.bytes.withUnsafeBytes { (value) throws(ServiceError) in
          try writer.set(.roots, key, value)
        }
      }
    }
  }
}
