extension NARInfo: CustomStringConvertible {
  /// The text of the narinfo file.
  ///
  /// Equals, byte for byte, the text that was parsed, if that had its fields in the usual order,
  /// every line ended, and no unknown fields.
  public var description: String {
    var text = ""
    func line(_ field: NARInfoField, _ value: String) {
      text += "\(field.rawValue): \(value)\n"
    }
    line(.storePath, storePath.absolutePath)
    line(.url, url)
    if !flags.contains(.compressionDefault) || compression != "bzip2" {
      line(.compression, compression ?? "none")
    }
    if let fileHash { line(.fileHash, "\(fileHash)") }
    if let fileSize { line(.fileSize, "\(fileSize)") }
    line(
      .narHash,
      flags.contains(.narHashHexadecimal) ? "sha256:\(narHash.hexadecimal)" : "\(narHash)"
    )
    line(.narSize, "\(narSize)")
    if !flags.contains(.referencesMissing) || !references.isEmpty {
      line(.references, references.map(\.baseName).joined(separator: " "))
    }
    if let deriver {
      line(.deriver, "\(deriver).drv")
    } else if flags.contains(.unknownDeriver) {
      line(.deriver, "unknown-deriver")
    }
    if let system { line(.system, system) }
    for signature in signatures { line(.signature, "\(signature)") }
    if let contentAddress { line(.contentAddress, "\(contentAddress)") }
    return text
  }
}
