import Castore
import CastoreStorage
import NixCompat
import NixStore

extension LocalStore {
  /// What the store knows about store paths.
  var pathInfos: LocalPathInfoService { LocalPathInfoService(pathInfoTable) }

  /// Named roots and store paths side by side; a named root comes first.
  var namedRootsAndStorePaths: any RootNodes {
    CombinedRootNodes.combining([self, PathInfoRootNodes(pathInfos)])
  }

  /// What a name at the top stands for: a named root or a store path.
  func topNode(named name: PathComponent) throws -> Node? {
    try nodeLocal(named: name) ?? PathInfoRootNodes(pathInfos).nodeLocal(named: name)
  }
}

/// `/nix/store/HASH-NAME` or `HASH-NAME` on the command line.
func parseStorePath(_ text: String) throws -> NixCompat.StorePath {
  do {
    if text.hasPrefix("/") { return try NixCompat.StorePath(absolutePath: text) }
    return try NixCompat.StorePath(baseName: text)
  } catch {
    throw CommandError("'\(escaped(text))' is not a store path: \(error)")
  }
}
