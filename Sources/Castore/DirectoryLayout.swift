/// Where the entries of a directory lie in its canonical encoding: what reading one finds out.
struct DirectoryLayout {
  /// Where each entry starts, in bytewise order of the names across the three lists.
  var offsets: [UInt32]
  /// The number of entries plus the stated sizes of the child directories.
  var specifiedSize: UInt64

  /// Reads an encoding and checks everything about it: that it is canonical, sorting, names,
  /// digests, link targets, sizes.
  ///
  /// - Complexity: O(n) in bytes and entries; one array of four bytes an entry is allocated, two
  ///   where the directory holds entries of several kinds.
  init(reading bytes: RawSpan) throws(DirectoryError) {
    guard bytes.byteCount <= Int(UInt32.max) else {
      throw .malformed(WireError(.messageTooLarge, at: 0))
    }
    offsets = []
    specifiedSize = 0
    // An entry with a name of one byte, a digest and no size takes 39 bytes; links may take less.
    offsets.reserveCapacity(bytes.byteCount / 48)
    // Where the files and where the links begin in `offsets`.
    var bounds = (files: 0, symlinks: 0)
    var cursor = WireCursor(bytes)
    var previous: WireEntry?
    while !cursor.isAtEnd {
      let entry: WireEntry
      do throws(WireError) { entry = try WireEntry(&cursor) } catch { throw .malformed(error) }
      let name = bytes.extracting(entry.name)
      if let previous {
        if entry.kind.rawValue < previous.kind.rawValue {
          let field = UInt64(entry.kind.rawValue)
          throw .malformed(WireError(.fieldOutOfOrder(field), at: entry.start))
        }
        if entry.kind == previous.kind {
          switch bytes.extracting(previous.name).order(to: name) {
          case .ascending: break
          case .same: throw .duplicateName(name.array)
          case .descending where !name.isEmpty: throw .wrongSorting(name.array)
          case .descending: break
          }
        }
      }
      if let reason = name.withUnsafeBytes({ PathComponent.flaw(in: $0) }) {
        throw .invalidName(PathComponentError(reason, name.array))
      }
      if let flaw = entry.flaw(in: bytes) { throw .invalidNode(name: name.array, flaw) }
      let added = entry.kind == .directory ? entry.size : 0
      let (partial, overflow) = added.addingReportingOverflow(1)
      let (total, overflowToo) = specifiedSize.addingReportingOverflow(partial)
      if overflow || overflowToo { throw .sizeOverflow }
      specifiedSize = total
      // Fits: no offset is beyond the checked length.
      offsets.append(UInt32(entry.start))
      switch entry.kind {
      case .directory: bounds = (offsets.count, offsets.count)
      case .file: bounds.symlinks = offsets.count
      case .symlink: break
      }
      previous = entry
    }
    if bounds.files > 0 && bounds.files < offsets.count {
      try merge(0..<bounds.files, bounds.files..<bounds.symlinks, in: bytes)
    }
    if bounds.symlinks > 0 && bounds.symlinks < offsets.count {
      try merge(0..<bounds.symlinks, bounds.symlinks..<offsets.count, in: bytes)
    }
  }

  /// Merges two neighbouring sorted runs of `offsets`.
  private mutating func merge(
    _ left: Range<Int>,
    _ right: Range<Int>,
    in bytes: RawSpan
  ) throws(DirectoryError) {
    if left.isEmpty || right.isEmpty { return }
    var merged: [UInt32] = []
    merged.reserveCapacity(offsets.count)
    var (first, second) = (left.lowerBound, right.lowerBound)
    var duplicate: [UInt8]?
    bytes.withUnsafeBytes { bytes in
      while first < left.upperBound && second < right.upperBound && duplicate == nil {
        let name = Self.name(at: offsets[second], in: bytes)
        switch ByteOrder(Self.name(at: offsets[first], in: bytes), name) {
        case .ascending:
          merged.append(offsets[first])
          first += 1
        case .descending:
          merged.append(offsets[second])
          second += 1
        case .same:
          duplicate = [UInt8](name)
        }
      }
    }
    if let duplicate { throw .duplicateName(duplicate) }
    // What lies behind `right` stays behind it.
    merged.append(contentsOf: offsets[first..<left.upperBound])
    merged.append(contentsOf: offsets[second...])
    offsets = merged
  }

  /// The name of the entry at an offset that `init(reading:)` has found.
  @inline(__always)
  static func name(
    at offset: UInt32,
    in bytes: UnsafeRawBufferPointer
  ) -> UnsafeRawBufferPointer {
    // Tag, length of the entry, tag, length of the name, name: every entry has one.
    var place = Int(offset) + 1
    while bytes[place] >= 0x80 { place += 1 }
    place += 2
    var length = Int(bytes[place] & 0x7f)
    // At most 255: two bytes.
    if bytes[place] >= 0x80 {
      place += 1
      length |= Int(bytes[place]) << 7
    }
    return UnsafeRawBufferPointer(rebasing: bytes[(place + 1)..<(place + 1 + length)])
  }
}
