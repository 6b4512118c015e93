import Castore
import CastoreNames

@testable import CastoreStorage

/// Sets many roots in one transaction, whether their content is there or not.
func setRoots(_ store: LocalStore, _ names: [PathComponent], to node: Node) throws {
  try store.core.names.write { (transaction) throws(ServiceError) in
    for name in names { _ = try transaction.putRoot(name, node, replace: true) }
  }
}
