package import Castore

/// Changes to the names that become visible, and durable, together.
///
/// Valid only within ``SQLiteNames/write(_:)``. What it reads is the state with its own changes.
package struct NamesTransaction: ~Copyable {
  private struct Change {
    var count: Int64 = 0
    var sum: Int64 = 0
  }

  private let connection: SQLConnection
  private let time: Int64
  private var changes: [NamesTable: Change] = [:]

  init(_ connection: SQLConnection, time: Int64) {
    self.connection = connection
    self.time = time
  }

  var hasChanges: Bool { !changes.isEmpty }

  // MARK: Roots

  /// Names a node.
  ///
  /// What the node refers to must be durable, and held by the caller's session.
  ///
  /// - Parameter replace: Whether a name that stands for something else is re-pointed; otherwise that
  ///   is an error. A name that stands for the same node is none.
  /// - Returns: What the name stood for before.
  @discardableResult
  package mutating func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) throws(ServiceError) -> Node? {
    guard let row = try connection.row(.roots, .bytes(name.bytes)) else {
      try insert(.roots, [.bytes(name.bytes), .bytes(node.encoded())])
      return nil
    }
    let old = try connection.node(in: row, .roots)
    if old == node { return old }
    if !replace { throw .rootIsTaken(name, by: old) }
    try delete(.roots, row)
    try insert(.roots, [.bytes(name.bytes), .bytes(node.encoded())])
    try note(row.bytes(1), from: .root, name: name.bytes)
    return old
  }

  /// Removes a name.
  ///
  /// - Returns: What it stood for, or nothing where there was none.
  @discardableResult
  package mutating func removeRoot(_ name: PathComponent) throws(ServiceError) -> Node? {
    guard let row = try connection.row(.roots, .bytes(name.bytes)) else { return nil }
    let old = try connection.node(in: row, .roots)
    try delete(.roots, row)
    try note(row.bytes(1), from: .root, name: name.bytes)
    return old
  }

  // MARK: Path infos

  /// Sets the path info under a key of 1 to 511 bytes. Setting what is there already does nothing.
  ///
  /// - Parameter node: What it refers to: keeps that from being collected.
  package mutating func setPathInfo(
    _ key: [UInt8],
    to info: [UInt8],
    node: Node
  ) throws(ServiceError) {
    guard 1...511 ~= key.count else {
      throw ServiceError(.invalidArgument, "a key of \(key.count) bytes cannot be stored")
    }
    let encoding = node.encoded()
    if let row = try connection.row(.pathInfos, .bytes(key)) {
      if row.bytes(1) == info && row.bytes(2) == encoding { return }
      try delete(.pathInfos, row)
      if row.bytes(2) != encoding { try note(row.bytes(2), from: .pathInfo, name: key) }
    }
    try insert(.pathInfos, [.bytes(key), .bytes(info), .bytes(encoding)])
  }

  /// Removes a path info.
  ///
  /// - Returns: Whether there was one.
  @discardableResult
  package mutating func removePathInfo(_ key: [UInt8]) throws(ServiceError) -> Bool {
    guard let row = try connection.row(.pathInfos, .bytes(key)) else { return false }
    try delete(.pathInfos, row)
    try note(row.bytes(2), from: .pathInfo, name: key)
    return true
  }

  // MARK: Pins

  /// Keeps a node from being collected until it is unpinned, whatever names it.
  ///
  /// - Parameter note: Why, or which name it had; replaces the note of an earlier pin.
  /// - Returns: Whether it was not pinned before.
  @discardableResult
  package mutating func pin(_ node: Node, note: [UInt8]) throws(ServiceError) -> Bool {
    let encoding = node.encoded()
    let row = try connection.row(.pins, .bytes(encoding))
    if let row {
      if row.bytes(1) == note { return false }
      try delete(.pins, row)
    }
    try insert(.pins, [.bytes(encoding), .bytes(note), .number(time)])
    return row == nil
  }

  /// Ends a pin.
  ///
  /// - Returns: Whether there was one.
  @discardableResult
  package mutating func unpin(_ node: Node) throws(ServiceError) -> Bool {
    let encoding = node.encoded()
    guard let row = try connection.row(.pins, .bytes(encoding)) else { return false }
    try delete(.pins, row)
    try note(encoding, from: .pin, name: row.bytes(1))
    return true
  }

  // MARK: What was unnamed

  /// Forgets what was unnamed before a time, in seconds since 1970.
  ///
  /// - Returns: How many were forgotten.
  @discardableResult
  package mutating func forgetUnnamed(before time: Int64) throws(ServiceError) -> Int {
    var forgotten = 0
    var place: SQLValue?
    while true {
      let rows = try connection.rows(.unnamed, after: place, limit: 256)
      guard let last = rows.last else { return forgotten }
      place = last.columns[0]
      for row in rows where row.number(4) < time {
        try delete(.unnamed, row)
        forgotten += 1
      }
    }
  }

  private mutating func note(
    _ encoding: [UInt8],
    from source: NameSource,
    name: [UInt8]
  ) throws(ServiceError) {
    // A link's target is in its node: there is nothing to keep.
    if try connection.node(encoding, .unnamed).kind == .symlink { return }
    let last = try connection.lastRow(.unnamed)?.number(0) ?? 0
    guard last < Int64.max else { throw .namesDamaged(connection.path, "a number is out of range") }
    try insert(
      .unnamed,
      [.number(last + 1), .bytes(encoding), .number(source.rawValue), .bytes(name), .number(time)]
    )
  }

  // MARK: Rows

  private mutating func insert(
    _ table: NamesTable,
    _ columns: [SQLValue]
  ) throws(ServiceError) {
    let checksum = RowChecksum.of(table, columns)
    try connection.run(table.statements.insert, columns + [.number(checksum)])
    changes[table, default: Change()].count += 1
    changes[table, default: Change()].sum &+= checksum
  }

  private mutating func delete(_ table: NamesTable, _ row: NamesRow) throws(ServiceError) {
    guard try connection.run(table.statements.delete, [row.columns[0]]) == 1 else {
      throw .namesDamaged(connection.path, "a row of \(table.rawValue) cannot be removed")
    }
    changes[table, default: Change()].count -= 1
    changes[table, default: Change()].sum &-= row.checksum
  }

  /// Writes what the changes sum up to, and counts them.
  mutating func finish() throws(ServiceError) -> ChangeCounter.Counts {
    let version = try connection.fact("version") &+ 1
    try connection.setFact("version", to: version)
    for (table, change) in changes {
      let count = try connection.fact(table.countFact)
      let sum = try connection.fact(table.sumFact)
      try connection.setFact(table.countFact, to: count &+ change.count)
      try connection.setFact(table.sumFact, to: sum &+ change.sum)
      try connection.setFact(table.versionFact, to: version)
    }
    return ChangeCounter.Counts(
      begun: UInt64(bitPattern: version),
      done: UInt64(bitPattern: version),
      roots: UInt64(bitPattern: try connection.fact(NamesTable.roots.versionFact)),
      pathInfos: UInt64(bitPattern: try connection.fact(NamesTable.pathInfos.versionFact))
    )
  }
}

extension SQLConnection {
  /// The node that a row refers to.
  func node(in row: NamesRow, _ table: NamesTable) throws(ServiceError) -> Node {
    let column =
      switch table {
      case .roots, .unnamed: 1
      case .pathInfos: 2
      case .pins: 0
      }
    return try node(row.bytes(column), table)
  }

  func node(_ encoding: [UInt8], _ table: NamesTable) throws(ServiceError) -> Node {
    do throws(DirectoryError) {
      return try Node(canonicalEncoding: encoding)
    } catch {
      throw .namesDamaged(path, "a row of \(table.rawValue) holds no valid node", cause: error)
    }
  }

  /// The name in a row of the roots.
  func rootName(in row: NamesRow) throws(ServiceError) -> PathComponent {
    do throws(PathComponentError) {
      return try PathComponent(row.bytes(0))
    } catch {
      throw .namesDamaged(path, "a root's name is none", cause: error)
    }
  }
}
