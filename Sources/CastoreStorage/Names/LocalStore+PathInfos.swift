package import Castore
internal import CastoreNames

extension LocalStore {
  /// Where path infos are kept, for the layer that knows what they are.
  package var pathInfoTable: any PathInfoTable { LocalPathInfoTable(store: self) }
}

private struct LocalPathInfoTable: PathInfoTable {
  let store: LocalStore

  var tableDescription: String { "the store \(store.path)" }

  func value(_ key: [UInt8]) throws(ServiceError) -> [UInt8]? {
    try store.core.names.pathInfo(key)?.info
  }

  func set(_ key: [UInt8], to value: [UInt8], node: Node) throws(ServiceError) {
    // What is not there yet may come: a cache holds path infos of trees that nobody has read.
    if let object = node.object { _ = try store.core.relyOn(object, for: store.core.session()) }
    _ = try store.core.names.setPathInfo(key, to: value, node: node)
  }

  func remove(_ key: [UInt8]) throws(ServiceError) -> Bool {
    try store.core.names.removePathInfo(key)
  }

  func entries(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [(key: [UInt8], value: [UInt8])] {
    try store.core.names.pathInfos(after: key, limit: limit).map { ($0.key, $0.info) }
  }

  func version() throws(ServiceError) -> UInt64 {
    try store.core.names.pathInfosVersion()
  }
}
