extension PathInfo {
  /// The canonical encoding: a protobuf message `PathInfo`.
  public func encoded() -> [UInt8] {
    PathInfoMessage(self).encoded()
  }

  /// Reads a path info, and refuses bytes that are not the canonical encoding of a valid one.
  public init(canonicalEncoding bytes: [UInt8]) throws(PathInfoError) {
    try self.init(validating: PathInfoMessage(canonicalEncoding: bytes))
  }
}

extension PathInfoMessage {
  /// The canonical encoding: fields in the order of their numbers, defaults left out.
  public func encoded() -> [UInt8] {
    var writer = FieldWriter()
    if let node { writer.append(1, node) }
    for reference in references { writer.append(2, reference) }
    if let narInfo { writer.append(3, narInfo.encoded()) }
    return writer.bytes
  }

  /// Reads the fields, and refuses bytes that are not in canonical form. What the fields hold is not
  /// checked, except that the node's encoding is one when it is used.
  public init(canonicalEncoding bytes: [UInt8]) throws(PathInfoError) {
    self.init()
    var reader = FieldReader(bytes.span.bytes, 0..<bytes.count)
    while let field = try reader.next(repeated: 2...2) {
      switch field {
      case 1: node = try reader.bytes()
      case 2: references.append(try reader.bytes())
      case 3: narInfo = try NARFields(bytes.span.bytes, reader.range())
      default: throw reader.unknownField
      }
    }
  }
}

extension PathInfoMessage.NARFields {
  fileprivate func encoded() -> [UInt8] {
    var writer = FieldWriter()
    writer.append(1, number: narSize)
    if !narSHA256.isEmpty { writer.append(2, narSHA256) }
    for signature in signatures { writer.append(3, signature.encoded()) }
    for name in referenceNames { writer.append(4, [UInt8](name.utf8)) }
    if let deriver { writer.append(5, deriver.encoded()) }
    if let contentAddress {
      var address = FieldWriter()
      address.append(1, number: contentAddress.kind)
      if !contentAddress.digest.isEmpty { address.append(2, contentAddress.digest) }
      writer.append(6, address.bytes)
    }
    return writer.bytes
  }

  fileprivate init(_ bytes: RawSpan, _ range: Range<Int>) throws(PathInfoError) {
    self.init()
    var reader = FieldReader(bytes, range)
    while let field = try reader.next(repeated: 3...4) {
      switch field {
      case 1: narSize = try reader.number()
      case 2: narSHA256 = try reader.bytes(orDefault: false)
      case 3:
        signatures.append(
          try PathInfoMessage.NamedBytes(bytes, reader.range(), in: "narinfo.signatures.name")
        )
      case 4: referenceNames.append(try reader.text("narinfo.reference_names"))
      case 5:
        deriver = try PathInfoMessage.NamedBytes(bytes, reader.range(), in: "narinfo.deriver.name")
      case 6: contentAddress = try PathInfoMessage.Address(bytes, reader.range())
      default: throw reader.unknownField
      }
    }
  }
}

extension PathInfoMessage.NamedBytes {
  // In a signature the name comes first; in a store path too.
  fileprivate func encoded() -> [UInt8] {
    var writer = FieldWriter()
    if !name.isEmpty { writer.append(1, [UInt8](name.utf8)) }
    if !bytes.isEmpty { writer.append(2, bytes) }
    return writer.bytes
  }

  fileprivate init(
    _ message: RawSpan,
    _ range: Range<Int>,
    in nameField: String
  ) throws(PathInfoError) {
    self.init(name: "", bytes: [])
    var reader = FieldReader(message, range)
    while let field = try reader.next() {
      switch field {
      case 1: name = try reader.text(nameField, orDefault: false)
      case 2: bytes = try reader.bytes(orDefault: false)
      default: throw reader.unknownField
      }
    }
  }
}

extension PathInfoMessage.Address {
  fileprivate init(_ message: RawSpan, _ range: Range<Int>) throws(PathInfoError) {
    self.init(kind: 0, digest: [])
    var reader = FieldReader(message, range)
    while let field = try reader.next() {
      switch field {
      case 1: kind = try reader.number()
      case 2: digest = try reader.bytes(orDefault: false)
      default: throw reader.unknownField
      }
    }
  }
}
