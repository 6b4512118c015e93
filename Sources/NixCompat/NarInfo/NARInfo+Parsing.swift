extension NARInfo {
  /// Parses the text of a narinfo.
  public init(parsing text: String) throws(NARInfoError) {
    try self.init(utf8: text.utf8Span.span)
  }

  /// Parses the bytes of a narinfo.
  public init(parsing bytes: [UInt8]) throws(NARInfoError) {
    guard (try? UTF8Span(validating: bytes.span)) != nil else { throw NARInfoError(.notUTF8) }
    try self.init(utf8: bytes.span)
  }

  private init(utf8 text: Span<UInt8>) throws(NARInfoError) {
    var fields = NARInfoFields()
    var line = 0
    var start = 0
    while start < text.count {
      let rest = text.extracting(start...)
      let length = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count
      line += 1
      do throws(NARInfoError.Code) {
        try fields.take(line: rest.extracting(..<length))
      } catch {
        throw NARInfoError(error, line: line)
      }
      start += length + 1
    }
    guard let storePath = fields.storePath else { throw NARInfoError(.missingField(.storePath)) }
    guard let url = fields.url else { throw NARInfoError(.missingField(.url)) }
    guard let narHash = fields.narHash else { throw NARInfoError(.missingField(.narHash)) }
    guard let narSize = fields.narSize else { throw NARInfoError(.missingField(.narSize)) }
    if fields.compression == nil { fields.flags.insert(.compressionDefault) }
    if !fields.seen.contains(.references) { fields.flags.insert(.referencesMissing) }
    try self.init(
      storePath: storePath,
      url: url,
      compression: fields.compression ?? "bzip2",
      fileHash: fields.fileHash,
      fileSize: fields.fileSize,
      narHash: narHash,
      narSize: narSize,
      references: fields.references,
      deriver: fields.deriver,
      system: fields.system,
      signatures: fields.signatures,
      contentAddress: fields.contentAddress,
      flags: fields.flags
    )
  }
}

/// The fields as they come.
private struct NARInfoFields {
  var seen: Set<NARInfoField> = []
  var flags: NARInfo.Flags = []
  var storePath: StorePath?
  var url: String?
  var compression: String?
  var fileHash: SHA256Digest?
  var fileSize: UInt64?
  var narHash: SHA256Digest?
  var narSize: UInt64?
  var references: [StorePath] = []
  var deriver: StorePath?
  var system: String?
  var signatures: [NixSignature] = []
  var contentAddress: ContentAddress?

  mutating func take(line: Span<UInt8>) throws(NARInfoError.Code) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon + 1 < line.count,
      line[colon + 1] == UInt8(ascii: " ")
    else { throw .invalidLine }
    let key = line.extracting(..<colon)
    let value = line.extracting((colon + 2)...)
    guard let field = NARInfoField.allCases.first(where: { key.isEqual(to: $0.rawValue) }) else {
      flags.insert(.unknownField)
      return
    }
    guard seen.insert(field).inserted || field == .signature else { throw .duplicateField(field) }
    guard !value.isEmpty || field == .references else { throw .emptyField(field) }
    try take(field, value)
  }

  private mutating func take(
    _ field: NARInfoField,
    _ value: Span<UInt8>
  ) throws(NARInfoError.Code) {
    switch field {
    case .storePath:
      do { storePath = try StorePath(absolutePath: value) } catch { throw .invalidStorePath(error) }
    case .url: url = value.printable
    case .compression: compression = value.printable
    case .fileHash: fileHash = try hash(field, value, allowsHexadecimal: false)
    case .fileSize: fileSize = try size(field, value)
    case .narHash: narHash = try hash(field, value, allowsHexadecimal: true)
    case .narSize: narSize = try size(field, value)
    case .references: try takeReferences(value)
    case .deriver: try takeDeriver(value)
    case .system: system = value.printable
    case .signature:
      do {
        signatures.append(try NixSignature(parsing: value))
      } catch {
        throw .invalidSignature(signatures.count, error)
      }
    case .contentAddress:
      do {
        contentAddress = try ContentAddress(parsing: value)
      } catch {
        throw .invalidContentAddress(error)
      }
    }
  }

  private mutating func takeReferences(_ value: Span<UInt8>) throws(NARInfoError.Code) {
    guard !value.isEmpty else { return }
    // The last reference ends at the end: a space there leaves an empty one behind it.
    var start = 0
    while start <= value.count {
      let rest = value.extracting(start...)
      let length = rest.firstIndex(of: UInt8(ascii: " ")) ?? rest.count
      do {
        let reference = try StorePath(baseName: rest.extracting(..<length))
        if let last = references.last, last >= reference { flags.insert(.referencesOutOfOrder) }
        references.append(reference)
      } catch {
        throw .invalidReference(references.count, error)
      }
      start += length + 1
    }
  }

  private mutating func takeDeriver(_ value: Span<UInt8>) throws(NARInfoError.Code) {
    guard !value.isEqual(to: "unknown-deriver") else {
      flags.insert(.unknownDeriver)
      return
    }
    guard value.hasSuffix(".drv") else { throw .deriverWithoutSuffix }
    do {
      deriver = try StorePath(baseName: value.extracting(droppingLast: 4))
    } catch {
      throw .invalidDeriver(error)
    }
  }

  private mutating func hash(
    _ field: NARInfoField,
    _ value: Span<UInt8>,
    allowsHexadecimal: Bool
  ) throws(NARInfoError.Code) -> SHA256Digest {
    guard value.hasPrefix("sha256:") else { throw .missingHashPrefix(field) }
    let text = value.extracting(droppingFirst: 7)
    do throws(TextEncodingError) {
      guard allowsHexadecimal, text.count == SHA256Digest.byteCount * 2 else {
        return try SHA256Digest(nixBase32: text)
      }
      flags.insert(.narHashHexadecimal)
      let digest = try SHA256Digest(hexadecimal: text)
      // Upper case would not print as it was read.
      for position in text.indices where UInt8(ascii: "A")...UInt8(ascii: "F") ~= text[position] {
        throw .invalidCharacter(text[position], position: position)
      }
      return digest
    } catch {
      throw .invalidHash(field, error)
    }
  }

  private func size(
    _ field: NARInfoField,
    _ value: Span<UInt8>
  ) throws(NARInfoError.Code) -> UInt64 {
    guard let size = parseDecimal(value) else { throw .invalidSize(field) }
    return size
  }
}
