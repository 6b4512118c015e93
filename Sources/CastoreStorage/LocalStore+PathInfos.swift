package import Castore

extension LocalStore {
  /// Where path infos are kept, for the layer that knows what they are.
  package var pathInfoTable: any ByteTable { PathInfoTable(core: core) }
}

/// The table of path infos, with a count of its changes.
private struct PathInfoTable: ByteTable {
  let core: StoreCore

  private static let versionKey = [UInt8]("path-infos-version".utf8)

  var tableDescription: String { "the store \(core.path)" }

  func value(_ key: [UInt8]) throws(ServiceError) -> [UInt8]? {
    try core.index.read { (reader) throws(ServiceError) in
      try Self.value(.pathInfos, key, in: reader)
    }
  }

  func set(_ key: [UInt8], to value: [UInt8]) throws(ServiceError) {
    guard 1...511 ~= key.count else {
      throw ServiceError(.invalidArgument, "a key of \(key.count) bytes cannot be stored")
    }
    if try self.value(key) == value { return }
    try core.index.write { (writer) throws(ServiceError) in
      try Self.set(.pathInfos, key, value, in: writer)
      let version = try Self.version(in: writer.reader) &+ 1
      let bytes = withUnsafeBytes(of: version.littleEndian) { [UInt8]($0) }
      try Self.set(.facts, Self.versionKey, bytes, in: writer)
    }
  }

  func entries(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [(key: [UInt8], value: [UInt8])] {
    var found: [(key: [UInt8], value: [UInt8])] = []
    try core.index.read { (reader) throws(ServiceError) in
      try reader.forEach(.pathInfos, after: key) { (key, value) throws(ServiceError) in
        if found.count >= limit { return false }
        found.append(([UInt8](key), [UInt8](value)))
        return true
      }
    }
    return found
  }

  func version() throws(ServiceError) -> UInt64 {
    try core.index.read { (reader) throws(ServiceError) in try Self.version(in: reader) }
  }

  private static func version(in reader: borrowing IndexReader) throws(ServiceError) -> UInt64 {
    guard let bytes = try value(.facts, versionKey, in: reader), bytes.count == 8 else { return 0 }
    return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  private static func value(
    _ table: IndexTable,
    _ key: [UInt8],
    in reader: borrowing IndexReader
  ) throws(ServiceError) -> [UInt8]? {
    try key.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
      try reader.withValue(table, key) { (value) throws(ServiceError) -> [UInt8]? in
        value.map { [UInt8]($0) }
      }
    }
  }

  private static func set(
    _ table: IndexTable,
    _ key: [UInt8],
    _ value: [UInt8],
    in writer: borrowing IndexWriter
  ) throws(ServiceError) {
    try key.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
      try value.span.bytes.withUnsafeBytes { (value) throws(ServiceError) in
        try writer.set(table, key, value)
      }
    }
  }
}
