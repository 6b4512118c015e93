/// The tables, as SQLite has them. A shared PostgreSQL has the same with BYTEA for BLOB.
///
/// Columns are bytes and numbers only; order is that of unsigned bytes in both engines.
enum NamesSchema {
  /// Raised when an older program could not read the file any more.
  static let version: Int64 = 1

  // "cast", so that `file` and others can tell.
  static let applicationID = 0x6361_7374

  static let statements = [
    // Numbers about the file: the schema's version, the count of changes, and for each table when it
    // changed last (in that count), how many rows it has, and the sum of their checksums.
    "CREATE TABLE facts (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE roots (name BLOB NOT NULL PRIMARY KEY, node BLOB NOT NULL, \
    checksum BIGINT NOT NULL) WITHOUT ROWID
    """,
    // `node` is what `info`, which only the layer above reads, refers to.
    """
    CREATE TABLE path_infos (key BLOB NOT NULL PRIMARY KEY, info BLOB NOT NULL, \
    node BLOB NOT NULL, checksum BIGINT NOT NULL) WITHOUT ROWID
    """,
    """
    CREATE TABLE pins (node BLOB NOT NULL PRIMARY KEY, note BLOB NOT NULL, time BIGINT NOT NULL, \
    checksum BIGINT NOT NULL) WITHOUT ROWID
    """,
    // What lost a name, and when, in seconds since 1970.
    """
    CREATE TABLE unnamed (id BIGINT NOT NULL PRIMARY KEY, node BLOB NOT NULL, \
    source BIGINT NOT NULL, name BLOB NOT NULL, time BIGINT NOT NULL, \
    checksum BIGINT NOT NULL) WITHOUT ROWID
    """,
  ]
}

/// The tables whose rows have checksums.
enum NamesTable: String, CaseIterable {
  case roots
  case pathInfos = "path_infos"
  case pins
  case unnamed

  // Part of every checksum: a row in another table is wrong.
  var tag: UInt8 {
    switch self {
    case .roots: 1
    case .pathInfos: 2
    case .pins: 3
    case .unnamed: 4
    }
  }

  /// All columns but the checksum, in the order of the table; the key first.
  var columns: [(name: String, isBytes: Bool)] {
    switch self {
    case .roots: [("name", true), ("node", true)]
    case .pathInfos: [("key", true), ("info", true), ("node", true)]
    case .pins: [("node", true), ("note", true), ("time", false)]
    case .unnamed:
      [("id", false), ("node", true), ("source", false), ("name", true), ("time", false)]
    }
  }

  var key: String { columns[0].name }
  var columnList: String { columns.map(\.name).joined(separator: ", ") }

  var versionFact: String { "\(rawValue).version" }
  var countFact: String { "\(rawValue).count" }
  var sumFact: String { "\(rawValue).sum" }
}
