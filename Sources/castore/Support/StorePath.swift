import ArgumentParser
import Castore
import CastoreStorage

/// `ROOT` or `ROOT/PATH` on the command line: a root by its name, and a way down from it.
struct StorePath: ExpressibleByArgument {
  let text: String
  let root: PathComponent
  let components: [PathComponent]

  init?(argument: String) {
    text = argument
    var names: [PathComponent] = []
    // A slash at the end is what a shell completes to.
    for part in argument.utf8.split(separator: UInt8(ascii: "/")) {
      guard let name = try? PathComponent([UInt8](part)) else { return nil }
      names.append(name)
    }
    guard let root = names.first, !argument.hasPrefix("/") else { return nil }
    self.root = root
    components = Array(names.dropFirst())
  }

  /// What stands there.
  func resolve(in store: LocalStore) throws -> Node {
    guard var node = try store.nodeLocal(named: root) else {
      throw CommandError("there is no root named '\(root)' in \(store.path)")
    }
    var path = root.description
    for name in components {
      guard case .directory(let digest, _) = node else {
        throw CommandError("'\(path)' is not a directory")
      }
      guard let directory = try store.directoryIndexLocal(digest) else {
        throw CommandError("directory \(digest) of '\(path)' is missing in \(store.path)")
      }
      path += "/\(name)"
      guard let child = directory.node(named: name) else {
        throw CommandError("there is no '\(path)'")
      }
      node = child
    }
    return node
  }
}
