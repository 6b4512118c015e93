internal import NixCompat

extension ClosureDocument.Entry {
  /// Checks the fields of an entry.
  init(_ fields: ClosureParser.Fields, number: Int) throws(ClosureError) {
    guard let path = fields.path else {
      throw .invalidField(path: "entry \(number)", field: "path", reason: "it is missing")
    }
    func missing(_ field: String) -> ClosureError {
      .invalidField(path: path, field: field, reason: "it is missing")
    }
    if fields.isNull { throw missing("everything") }
    storePath = try Self.storePath(path, path, "path")
    if let folder = fields.storeFolder, folder != StorePath.storeDirectory {
      throw .invalidField(
        path: path,
        field: "storeDir",
        reason: "it is \"\(folder)\" instead of \"\(StorePath.storeDirectory)\""
      )
    }
    if !fields.isUnhashed {
      if fields.narHash == nil { throw missing("narHash") }
      if fields.narSize == nil { throw missing("narSize") }
    }
    guard let references = fields.references else { throw missing("references") }
    narSize = fields.narSize
    do throws(HashParseError) {
      narHash = try fields.narHash.flatMap { (text) throws(HashParseError) in
        try NixHash(parsing: text, algorithm: .sha256).sha256
      }
    } catch {
      throw .invalidField(path: path, field: "narHash", reason: "\(error)")
    }
    var paths: [StorePath] = []
    for reference in references {
      paths.append(try Self.storePath(reference, path, "references"))
    }
    self.references = paths
    deriver = try fields.deriver.flatMap { (text) throws(ClosureError) in
      try Self.deriver(text, path)
    }
    var signatures: [NixSignature] = []
    for signature in fields.signatures {
      do throws(SigningError) {
        signatures.append(try NixSignature(parsing: signature))
      } catch {
        throw .invalidField(path: path, field: "signatures", reason: "\(error)")
      }
    }
    self.signatures = signatures
    contentAddress = try fields.contentAddress.flatMap { (address) throws(ClosureError) in
      try Self.contentAddress(address, path)
    }
  }

  private static func contentAddress(
    _ address: ClosureParser.Address,
    _ path: String
  ) throws(ClosureError) -> ContentAddress? {
    func refusal(_ reason: String) -> ClosureError {
      .invalidField(path: path, field: "ca", reason: reason)
    }
    do {
      switch address {
      case .text(let text): return text.isEmpty ? nil : try ContentAddress(parsing: text)
      case .structured("nar", let hash): return .recursive(try NixHash(parsing: hash))
      case .structured("flat", let hash): return .flat(try NixHash(parsing: hash))
      case .structured("text", let hash):
        guard let digest = try NixHash(parsing: hash, algorithm: .sha256).sha256 else { break }
        return .text(digest)
      case .structured(let method, _): throw refusal("the method \"\(method)\" is not known")
      }
    } catch let error as ClosureError {
      throw error
    } catch {
      throw refusal("\(error)")
    }
    throw refusal("text is addressed by sha256")
  }

  private static func deriver(
    _ text: String,
    _ path: String
  ) throws(ClosureError) -> StorePath? {
    if text.isEmpty || text == "unknown-deriver" { return nil }
    guard text.hasSuffix(".drv") else {
      throw .invalidField(path: path, field: "deriver", reason: "it does not end with \".drv\"")
    }
    return try storePath(String(text.dropLast(4)), path, "deriver")
  }

  // Some versions of Nix print whole paths, some the base names.
  private static func storePath(
    _ text: String,
    _ path: String,
    _ field: String
  ) throws(ClosureError) -> StorePath {
    do throws(StorePathError) {
      return text.hasPrefix("/")
        ? try StorePath(absolutePath: text) : try StorePath(baseName: text)
    } catch {
      throw .invalidField(path: path, field: field, reason: "\(error)")
    }
  }
}
