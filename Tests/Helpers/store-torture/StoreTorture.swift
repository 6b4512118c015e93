// A process of its own for the storage tests: something to kill, to starve of disk, to run as another
// user.
//
//   store-torture import STORE TREE NAME     import a tree and record it
//   store-torture verify STORE               complain about everything that is wrong
//   store-torture open STORE                 open it and say whether it is read-only
//   store-torture export STORE NAME DEST     write a root to disk

import Castore
import CastoreStorage
import FileTree
import Glibc

@main
struct StoreTorture {
  static func main() {
    exit(run(Array(CommandLine.arguments.dropFirst())))
  }

  nonisolated static func run(_ arguments: [String]) -> CInt {
    // `as=UID` first: become that user.
    var arguments = arguments
    if let first = arguments.first, first.hasPrefix("as="), let user = uid_t(first.dropFirst(3)) {
      guard setgroups(0, nil) == 0, setgid(gid_t(user)) == 0, setuid(user) == 0 else { return 3 }
      arguments.removeFirst()
    }
    do {
      switch (arguments.first, arguments.count) {
      case ("import", 4): try importTree(arguments[1], arguments[2], arguments[3])
      case ("verify", 2): return try verify(arguments[1])
      case ("open", 2):
        let store = try LocalStore(path: arguments[1])
        print(store.isReadOnly ? "read-only" : "writable")
        for root in try store.rootsLocal(after: nil, limit: 10) { print(root.name) }
      case ("export", 4):
        let store = try LocalStore(path: arguments[1])
        guard let node = try store.nodeLocal(named: PathComponent(arguments[2])) else { return 2 }
        try TreeExporter(blobs: store, directories: store).export(node, to: arguments[3])
      default: return 64
      }
      return 0
    } catch let error as ServiceError {
      print("\(error.code): \(error)")
      return 1
    } catch {
      print("other: \(error)")
      return 1
    }
  }

  nonisolated static func importTree(
    _ storePath: String,
    _ tree: String,
    _ name: String
  ) throws {
    let store = try LocalStore(path: storePath, create: true)
    let writer = try store.makeWriter()
    let result = try TreeImporter(into: writer).run(tree)
    try store.setRoot(PathComponent(name), to: result.node, replace: true)
    print(result.node)
  }

  nonisolated static func verify(_ storePath: String) throws -> CInt {
    let store = try LocalStore(path: storePath)
    let result = try store.verify(rehash: true) { print("problem: \($0)") }
    print("\(result.names) names, \(result.blobs) blobs, \(result.problems) problems")
    return result.problems == 0 ? 0 : 1
  }
}
