import Castore
import CastoreStorage
import CastoreTestSupport
import FileTree
import Foundation

/// A store, a folder to put trees in, and short ways between the two.
final class Workshop {
  let folder: TestFolder
  let store: LocalStore

  init() throws {
    folder = try TestFolder()
    store = try LocalStore(path: folder.sub("store"), create: true)
  }

  func sub(_ name: String) -> String { folder.sub(name) }

  func importTree(
    _ path: String,
    options: TreeImporter.Options = .init(),
    onSkip: @escaping @Sendable (String, TreeImporter.SkipReason) -> Void = { _, _ in }
  ) throws -> TreeImporter.Result {
    try TreeImporter(into: store.makeWriter(), options: options, onSkip: onSkip).run(path)
  }

  func export(_ node: Node, to path: String) throws {
    try TreeExporter(blobs: store, directories: store).export(node, to: path)
  }

  /// Makes a folder.
  func makeFolder(_ name: String) throws -> String {
    let path = sub(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }
}

/// Runs `body` and returns the error of ours that it throws.
func serviceError(_ body: () throws -> Void) -> ServiceError? {
  do {
    try body()
    return nil
  } catch {
    return error as? ServiceError
  }
}
