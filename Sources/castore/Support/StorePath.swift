import ArgumentParser
import Castore
import CastoreStorage

/// `ROOT` or `ROOT/PATH` on the command line: a root by its name, or a store path with or without
/// `/nix/store/` before it, and a way down from it.
struct StorePath: ExpressibleByArgument {
  /// For messages.
  let text: String
  let root: PathComponent
  let components: [PathComponent]

  init?(argument: String) {
    var bytes = ArgumentBytes.bytes(argument)
    text = escaped(bytes)
    let storeDirectory = [UInt8]("/nix/store/".utf8)
    if bytes.starts(with: storeDirectory) { bytes.removeFirst(storeDirectory.count) }
    var names: [PathComponent] = []
    // A slash at the end is what a shell completes to.
    for part in bytes.split(separator: UInt8(ascii: "/")) {
      guard let name = try? PathComponent([UInt8](part)) else { return nil }
      names.append(name)
    }
    guard let root = names.first, bytes.first != UInt8(ascii: "/") else { return nil }
    self.root = root
    components = Array(names.dropFirst())
  }

  /// What stands there, wherever the store is.
  func resolve(in services: Services) async throws -> Node {
    if let local = services.local { return try resolve(in: local) }
    guard var node = try await services.topNodes.node(named: root) else {
      throw CommandError("there is no root named '\(root)' in \(services.name)")
    }
    var path = root.description
    for name in components {
      guard case .directory(let digest, _) = node else {
        throw CommandError("'\(path)' is not a directory")
      }
      let directory = try await services.directory(digest, at: path, in: services.directories)
      path += "/\(name)"
      guard let child = directory.node(named: name) else {
        throw CommandError("there is no '\(path)'")
      }
      node = child
    }
    return node
  }

  /// What stands there.
  func resolve(in store: LocalStore) throws -> Node {
    guard var node = try store.topNode(named: root) else {
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
