package import Castore
internal import Glibc
internal import Platform

extension SQLiteNames {
  /// Makes an empty file of names, durably. One that is there already stays as it is.
  ///
  /// The file appears under its name when it is whole. What a crash leaves before that is called
  /// `names.new-<process>` and means nothing.
  ///
  /// - Parameter permissions: Those of the file; the files beside it get the same.
  package static func create(
    at path: String,
    permissions: UInt32 = 0o600
  ) throws(ServiceError) {
    var status = stat()
    if lstat(path, &status) == 0 { return }
    let draft = "\(path).new-\(getpid())"
    removeDraft(draft)
    defer { removeDraft(draft) }

    // Made here so that it never is more readable than it will be.
    let number = open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw failure("create \(draft)") }
    do {
      let file = OwnedDescriptor(adopting: number)
      guard fchmod(file.number, permissions & 0o666) == 0 else { throw failure("set up \(draft)") }
    }
    try fill(draft)
    ChangeCounter(besides: path, isReadOnly: false).prepare()
    guard link(draft, path) == 0 || Errno.current.code == EEXIST else {
      throw failure("create \(path)")
    }
    try syncFolder(of: path)
  }

  private static func fill(_ draft: String) throws(ServiceError) {
    // Closed at the end: the last connection leaves everything in the file and no log.
    let connection = try SQLConnection(draft, .create, patience: 1000)
    try connection.run("PRAGMA application_id = \(NamesSchema.applicationID)")
    try connection.run("PRAGMA journal_mode = WAL")
    try connection.run("BEGIN IMMEDIATE")
    for statement in NamesSchema.statements { try connection.run(statement) }
    var facts: [(name: String, value: Int64)] = [("schema", NamesSchema.version), ("version", 0)]
    for table in NamesTable.allCases {
      facts += [(table.versionFact, 0), (table.countFact, 0), (table.sumFact, 0)]
    }
    for fact in facts {
      try connection.run(
        "INSERT INTO facts (name, value) VALUES (?, ?)",
        [.text(fact.name), .number(fact.value)]
      )
    }
    try connection.run("COMMIT")
    try connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
  }

  private static func removeDraft(_ draft: String) {
    for suffix in ["", "-wal", "-shm"] { unlink(draft + suffix) }
  }

  private static func syncFolder(of path: String) throws(ServiceError) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let number = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard number >= 0 else { throw failure("open \(folder)") }
    let descriptor = OwnedDescriptor(adopting: number)
    guard fsync(descriptor.number) == 0 else { throw failure("sync \(folder)") }
  }

  private static func failure(_ what: String) -> ServiceError {
    let error = Errno.current
    let code: ServiceError.Code =
      switch error.code {
      case ENOSPC, EDQUOT: .outOfSpace
      case EACCES, EPERM, EROFS: .permissionDenied
      default: .io
      }
    return ServiceError(code, "cannot \(what)", cause: error)
  }
}
