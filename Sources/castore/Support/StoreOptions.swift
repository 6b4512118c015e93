import ArgumentParser
import Castore
import CastoreStorage
import Glibc

/// Where the store is: the same for every command.
struct StoreOptions: ParsableArguments {
  @Option(
    name: .customLong("store"),
    help: ArgumentHelp(
      "The store: local:PATH (default: $CASTORE_STORE, or local:~/.local/share/castore).",
      valueName: "url"
    )
  )
  var url: String?

  /// Opens the store.
  ///
  /// - Parameter create: Whether to make one where there is none.
  func open(create: Bool = false) throws -> LocalStore {
    try LocalStore(path: try path(), create: create)
  }

  private func path() throws -> String {
    let url = try url ?? environment("CASTORE_STORE") ?? "local:" + Self.defaultPath()
    guard url.hasPrefix("local:"), url.utf8.count > 6 else {
      throw ValidationError("--store: '\(url)' is not a store URL; expected local:PATH")
    }
    return String(url.dropFirst(6))
  }

  private static func defaultPath() throws -> String {
    if let data = environment("XDG_DATA_HOME"), data.hasPrefix("/") { return data + "/castore" }
    guard let home = environment("HOME"), home.hasPrefix("/") else {
      throw ValidationError("neither --store nor CASTORE_STORE is given, and HOME is not set")
    }
    return home + "/.local/share/castore"
  }
}

/// A variable of the environment; an empty one counts as not set.
func environment(_ name: String) -> String? {
  guard let value = getenv(name), value.pointee != 0 else { return nil }
  return String(cString: value)
}
