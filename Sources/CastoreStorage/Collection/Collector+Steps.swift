internal import Castore
internal import CastoreNames
internal import Glibc
internal import Packs
internal import Platform

extension Collector {
  /// Ends what a collector left that died, and removes its list.
  func tidyUp() throws(ServiceError) {
    let epoch = try core.state.read().epoch
    if epoch % 2 == 1 { try core.state.setEpoch(epoch + 1) }
    let names: [[UInt8]]
    do throws(Errno) {
      names = try core.indexFolder.withOwned { (folder) throws(Errno) in
        try FolderListing.names(in: folder)
      }
    } catch {
      throw ServiceError.system(error, "list \(core.path)/\(StoreLayout.indexName)")
    }
    for name in names where name.starts(with: CondemnedObjects.namePrefix.utf8) {
      unlinkat(core.indexFolder.number, name.map { CChar(bitPattern: $0) } + [0], 0)
    }
  }

  // MARK: What is reachable

  func liveSessions() throws(ServiceError) -> Set<UInt64> {
    var live: Set<UInt64> = []
    try core.forEachLiveSession { (id, _) throws(ServiceError) in live.insert(id.bits) }
    return live
  }

  func markHolds(_ marks: inout ObjectMarks) throws(ServiceError) {
    try core.forEachLiveSession { (id, folder) throws(ServiceError) in
      let path = "\(core.path)/\(StoreLayout.temporaryName)/\(id)"
      try HoldsFile.forEach(in: folder, path: path) { (object) throws(ServiceError) in
        try marks.mark(object)
      }
    }
  }

  func markReferences(_ marks: inout ObjectMarks) throws(ServiceError) {
    try core.names.forEachReference(unnamedSince: unnamedSince) {
      (reference) throws(ServiceError) in
      if let object = reference.node.object { try marks.mark(object) }
    }
  }

  /// Marks all that lies in some packs, with all below it.
  func markPacks(
    _ marks: inout ObjectMarks,
    _ table: TableReader,
    where isMarked: (PackID) -> Bool
  ) throws(ServiceError) {
    try markEntries(of: table.packs.filter(isMarked), &marks)
  }

  private func markEntries(
    of packs: some Sequence<PackID>,
    _ marks: inout ObjectMarks
  ) throws(ServiceError) {
    for id in packs {
      guard let pack = try core.index.packs.pack(id) else { continue }
      var failure: ServiceError?
      do throws(PackError) {
        try pack.reader.forEach { (entry) throws(PackError) in
          do throws(ServiceError) {
            try marks.mark(
              HeldObject(digest: B3Digest(entry.key), kind: ObjectKind(entry.at.kind))
            )
            return true
          } catch {
            failure = error
            return false
          }
        }
      } catch {
        throw ServiceError(error, in: core.index.packs.path(of: id))
      }
      if let failure { throw failure }
    }
  }

  /// Marks all that lies in packs that came after the table was made, with all below it.
  func markNewPacks(_ marks: inout ObjectMarks, _ table: TableReader) throws(ServiceError) {
    let old = Set(table.packs)
    let new = try core.index.refresh().packs.filter {
      !old.contains($0) && $0.session != session.id.bits
    }
    try markEntries(of: new, &marks)
  }

  // MARK: What goes

  /// Packs of which at least a sixteenth is garbage are worth copying, and those that know of a file that
  /// goes.
  func packsToRewrite(
    _ table: TableReader,
    _ marks: ObjectMarks,
    _ live: Set<UInt64>
  ) throws(ServiceError) -> Set<PackID> {
    var packs = [(liveBytes: UInt64, liveCount: Int, hasDeadFile: Bool)](
      repeating: (0, 0, false),
      count: table.packs.count
    )
    try forEachEntry(of: table) { (ordinal, entry) throws(ServiceError) in
      if marks.live.contains(ordinal) {
        let sector = UInt64(PackLayout.sector)
        packs[entry.pack].liveBytes += (UInt64(entry.at.length) + sector - 1) / sector * sector
        packs[entry.pack].liveCount += 1
      } else if entry.at.kind == .largeBlob {
        packs[entry.pack].hasDeadFile = true
      }
    }
    var rewritten: Set<PackID> = []
    for (id, counts) in zip(table.packs, packs) where !live.contains(id.session) {
      guard let pack = try core.index.packs.pack(id) else { continue }
      // What comes again in another pack is garbage, too.
      if counts.liveCount == pack.reader.count { continue }
      let length = pack.reader.header.fileLength
      let garbage = length - min(length, counts.liveBytes)
      if counts.hasDeadFile || counts.liveCount == 0 || garbage >= length / 16 {
        rewritten.insert(id)
      }
    }
    return rewritten
  }

  func count(
    _ table: TableReader,
    _ marks: ObjectMarks,
    _ rewritten: Set<PackID>,
    _ result: inout StoreCollection
  ) throws(ServiceError) {
    try forEachEntry(of: table) { (ordinal, entry) throws(ServiceError) in
      switch (marks.live.contains(ordinal), entry.at.kind == .directory) {
      case (true, true): result.keptDirectories += 1
      case (true, false): result.keptBlobs += 1
      case (false, true): result.directories += 1
      case (false, false): result.blobs += 1
      }
    }
    result.packs = UInt64(rewritten.count)
    result.missing = marks.missing.map { "\($0.kind) \($0.digest)" }
  }

  func forEachEntry(
    of table: TableReader,
    _ body: (Int, TableEntry) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    let cursor = TableCursor(table)
    while true {
      let ordinal = cursor.ordinal
      let entry: TableEntry?
      do throws(PackError) {
        entry = try cursor.next()
      } catch {
        throw ServiceError(error, in: core.path)
      }
      guard let entry else { return }
      try body(ordinal, entry)
    }
  }

  /// Files of blobs that no pack knows, in the order of their digests: a crash left them, or a session that
  /// holds them is about to store their records.
  func orphans(_ table: TableReader?) throws(ServiceError) -> [BlobFolder.BlobFile] {
    var orphans: [BlobFolder.BlobFile] = []
    try core.blobs.forEachFile { (file) throws(ServiceError) in
      if try core.index.find(file.digest, .blob)?.place.kind != .largeBlob { orphans.append(file) }
    }
    return orphans.sorted { $0.digest < $1.digest }
  }

  // MARK: Publishing

  func publish(
    _ table: TableReader,
    _ marks: ObjectMarks,
    _ orphans: [BlobFolder.BlobFile],
    _ epoch: UInt64
  ) throws(ServiceError) {
    let path = "\(core.path)/\(StoreLayout.indexName)"
    let folder = try core.indexFolder.reopened(path: path)
    let packs = try session.packs(core)
    var rest = orphans.map { PackKey($0.digest) }[...]
    do throws(PackError) {
      let writer = try TableWriter(keysIn: packs, id: .random(in: 1 ... .max))
      func appendOrphans(before key: PackKey?, including: Bool) throws(PackError) {
        while let orphan = rest.first, key.map({ orphan < $0 || including && orphan == $0 }) ?? true
        {
          rest.removeFirst()
          if including && orphan == key { continue }
          try writer.append(orphan, .blob)
        }
      }
      let cursor = TableCursor(table)
      while true {
        let ordinal = cursor.ordinal
        guard let entry = try cursor.next() else { break }
        if marks.live.contains(ordinal) { continue }
        let kind: RecordKind = entry.at.kind == .directory ? .directory : .blob
        try appendOrphans(before: entry.key, including: kind == .blob)
        try writer.append(entry.key, kind)
      }
      try appendOrphans(before: nil, including: false)
      try writer.finish(
        in: folder,
        as: CondemnedObjects.name(epoch: epoch),
        isDurable: false
      )
    } catch {
      throw ServiceError(error, in: path)
    }
  }

  // MARK: Removing

  func rewrite(
    _ rewritten: Set<PackID>,
    _ table: TableReader,
    _ marks: ObjectMarks,
    _ result: inout StoreCollection
  ) throws(ServiceError) {
    let copier = try PackCopier(core: core, session: session)
    var dead: [B3Digest] = []
    // Those that are wholly garbage first: on a full disk they make room for the copies of the others.
    var packs: [(id: PackID, live: Int)] = []
    for id in rewritten {
      guard let pack = try core.index.packs.pack(id) else { continue }
      var live = 0
      try forEachLiveRecord(of: pack, table, marks, dead: &dead) { (_) throws(ServiceError) in
        live += 1
      }
      packs.append((id, live))
    }
    packs.sort { $0.live < $1.live }
    for (id, live) in packs {
      if live == 0 {
        result.freedBytes += try core.removePack(id)
        continue
      }
      guard let pack = try core.index.packs.pack(id) else { continue }
      try copier.copy(pack) { (entry) throws(ServiceError) in
        try isKept(entry, of: pack.id, table, marks)
      }
    }
    try copier.finish()
    result.freedBytes += copier.freedBytes
    try core.index.refresh()
    for digest in dead {
      // A pack that stays, for its damage, may still know the file.
      if try core.index.find(digest, .blob)?.place.kind == .largeBlob { continue }
      result.freedBytes += try core.blobs.remove(digest)
      result.files += 1
    }
  }

  private func forEachLiveRecord(
    of pack: OpenPack,
    _ table: TableReader,
    _ marks: ObjectMarks,
    dead: inout [B3Digest],
    _ body: (PackEntry) throws(ServiceError) -> Void
  ) throws(ServiceError) {
    var failure: ServiceError?
    var files: [B3Digest] = []
    do throws(PackError) {
      try pack.reader.forEach { (entry) throws(PackError) in
        do throws(ServiceError) {
          if try isKept(entry, of: pack.id, table, marks) {
            try body(entry)
          } else if entry.at.kind == .largeBlob,
            !marks.isMarked(HeldObject(digest: B3Digest(entry.key), kind: .blob))
          {
            files.append(B3Digest(entry.key))
          }
          return true
        } catch {
          failure = error
          return false
        }
      }
    } catch {
      throw ServiceError(error, in: core.index.packs.path(of: pack.id))
    }
    if let failure { throw failure }
    dead += files
  }

  /// Whether a record is to be copied: it is reachable, and this is the copy of it that the table knows.
  private func isKept(
    _ entry: PackEntry,
    of pack: PackID,
    _ table: TableReader,
    _ marks: ObjectMarks
  ) throws(ServiceError) -> Bool {
    do throws(PackError) {
      guard let found = try table.find(entry.key, ObjectKind(entry.at.kind).records) else {
        return true
      }
      if !marks.live.contains(found.ordinal) { return false }
      let known = FoundObject(pack: table.packs[found.entry.pack], place: found.entry.at)
      let own = FoundObject(pack: pack, place: entry.at)
      // One that is damaged there may be whole here.
      return known.isSamePlace(as: own) || core.damage.contains(known)
    } catch {
      throw ServiceError(error, in: core.path)
    }
  }

  func removeOrphans(
    _ orphans: [BlobFolder.BlobFile],
    _ dryRun: Bool,
    _ result: inout StoreCollection
  ) throws(ServiceError) {
    for orphan in orphans {
      // A session may have stored its record meanwhile.
      if try core.index.find(orphan.digest, .blob)?.place.kind == .largeBlob { continue }
      result.freedBytes += dryRun ? orphan.bytesOnDisk : try core.blobs.remove(orphan.digest)
      result.files += 1
    }
  }
}
