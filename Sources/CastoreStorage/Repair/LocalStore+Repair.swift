public import Castore
internal import CastoreNames
internal import Glibc
internal import Packs
internal import Platform

/// What a repair has set aside.
public struct StoreRepair: Sendable {
  /// Files that were moved to `aside/`, by their paths.
  public internal(set) var aside: [String] = []
  /// Whole records that were copied out of packs that were set aside.
  public internal(set) var savedRecords: UInt64 = 0
}

extension LocalStore {
  /// Moves everything that is known to be damaged, by reading it or by `verify`, into the folder `aside`.
  ///
  /// Nothing is deleted. What is whole in a damaged pack is copied into a new one first. What was damaged is
  /// missing afterwards: store it again, or copy it from another store. Blocks.
  ///
  /// - Throws: `.unavailable` where a collection is at work.
  public func setDamageAside() throws(ServiceError) -> StoreRepair {
    guard let lock = try CollectorLock(store: core, waits: false) else {
      throw ServiceError(.unavailable, "a collection of the store \(path) is at work")
    }
    defer { withExtendedLifetime(lock) {} }
    var repair = Repair(core: core, session: try core.makeSession())
    try repair.run()
    return repair.result
  }

  /// Goes through all that names, pins and store paths refer to, and asks for each object that is not there.
  ///
  /// - Parameters:
  ///   - fetch: Called with an object that is missing and the name that needs it; stores it, with all below it
  ///     in the case of a directory, and says whether it could.
  /// - Returns: How many objects are still missing.
  public func completeTrees(
    _ fetch: (_ isDirectory: Bool, _ digest: B3Digest, _ name: String) async throws -> Bool
  ) async throws -> UInt64 {
    var nodes: [(Node, String)] = []
    try core.names.forEachReference(unnamedSince: nil) { (reference) throws(ServiceError) in
      nodes.append((reference.node, describe(reference)))
    }
    var seen: Set<HeldObject> = []
    var missing: UInt64 = 0
    for (root, name) in nodes {
      var open = root.object.map { [$0] } ?? []
      while let object = open.popLast() {
        if !seen.insert(object).inserted { continue }
        if object.kind == .blob {
          if try core.index.find(object.digest, .blob) != nil { continue }
          if try await !fetch(false, object.digest, name) { missing += 1 }
          continue
        }
        var directory = try directoryIndexLocal(object.digest)
        if directory == nil, try await fetch(true, object.digest, name) {
          directory = try directoryIndexLocal(object.digest)
        }
        guard let directory else {
          missing += 1
          continue
        }
        for place in 0..<directory.count {
          if let child = directory.entry(at: place).namedNode.node.object { open.append(child) }
        }
      }
    }
    return missing
  }
}

private struct Repair {
  let core: StoreCore
  let session: Session
  private(set) var result = StoreRepair()

  init(core: StoreCore, session: Session) {
    self.core = core
    self.session = session
  }

  mutating func run() throws(ServiceError) {
    var packs: [PackID: Set<UInt64>] = [:]
    var blobs: Set<B3Digest> = []
    try core.damage.forEach { (object, record) throws(ServiceError) in
      packs[record.pack, default: []].insert(record.place)
      if object.kind == .blob { blobs.insert(object.digest) }
    }
    let snapshot = try core.index.refresh()
    for id in snapshot.packs {
      do throws(ServiceError) {
        guard let pack = try core.index.packs.pack(id) else { continue }
        let places = packs[id] ?? []
        if places.isEmpty && pack.reader.findDamage().isEmpty { continue }
        try save(pack, except: places)
      } catch {
        // Nothing in it can be found: both of its tables are damaged.
        if error.code != .corrupt { throw error }
      }
      try moveAside(core.packsFolder.number, id.fileName(.pack), StoreLayout.packsName)
      core.index.packs.forget(id)
    }
    try core.index.refresh()
    for digest in blobs {
      // Its record went aside with its pack: what no pack knows is no blob.
      if try core.index.find(digest, .blob) != nil { continue }
      let name = BlobFileName.path(of: digest)
      try moveAside(core.blobs.descriptor.number, name, StoreLayout.blobsName)
    }
    try core.damage.clear()
  }

  /// Copies what is whole out of a pack.
  private mutating func save(
    _ pack: OpenPack,
    except damaged: Set<UInt64>
  ) throws(ServiceError) {
    let writer = PackWriter(try session.packs(core))
    var entries: [PackEntry] = []
    do throws(PackError) {
      try pack.reader.forEach { (entry) throws(PackError) in
        if !damaged.contains(entry.at.place) { entries.append(entry) }
        return true
      }
    } catch {
      throw ServiceError(error, in: core.index.packs.path(of: pack.id))
    }
    for entry in entries.sorted(by: { $0.at.place < $1.at.place }) {
      let kind = ObjectKind(entry.at.kind)
      let put = { (bytes: UnsafeRawBufferPointer) throws(ServiceError) -> Void in
        do throws(PackError) {
          try writer.put(entry.key, kind: entry.at.kind, bytes)
        } catch {
          throw ServiceError(error, in: session.path)
        }
      }
      do throws(ServiceError) {
        switch entry.at.kind {
        case .blob, .directory:
          try core.readWhole(B3Digest(entry.key), kind, pack, entry.at, put)
        case .largeBlob, .chunkedBlob:
          try core.readUnverified(pack, entry.at, put)
        }
        result.savedRecords += 1
      } catch {
        // Damaged, and not known to be until now.
        if error.code != .corrupt { throw error }
      }
    }
    do throws(PackError) {
      _ = try writer.finish()
    } catch {
      throw ServiceError(error, in: session.path)
    }
  }

  private mutating func moveAside(
    _ folder: CInt,
    _ name: String,
    _ folderName: String
  ) throws(ServiceError) {
    let root = try StoreFolder.open(core.path)
    let mode = core.options.access.folderMode
    let aside = StoreLayout.asideName
    if mkdirat(root.number, aside, mode) != 0 && errno != EEXIST {
      throw ServiceError.system(.current, "create \(core.path)/\(aside)")
    }
    let last = name.split(separator: "/").last.map(String.init) ?? name
    if renameat(folder, name, root.number, "\(aside)/\(last)") != 0 {
      if errno == ENOENT { return }
      throw ServiceError.system(.current, "move \(core.path)/\(folderName)/\(name) to \(aside)/")
    }
    result.aside.append("\(core.path)/\(aside)/\(last)")
  }
}
