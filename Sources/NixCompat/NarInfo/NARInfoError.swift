/// The fields of a narinfo, in the order in which they are printed.
public enum NARInfoField: String, CaseIterable, Hashable, Sendable {
  case storePath = "StorePath"
  case url = "URL"
  case compression = "Compression"
  case fileHash = "FileHash"
  case fileSize = "FileSize"
  case narHash = "NarHash"
  case narSize = "NarSize"
  case references = "References"
  case deriver = "Deriver"
  case system = "System"
  case signature = "Sig"
  case contentAddress = "CA"
}

/// Why a text is not a narinfo, and in which of its lines.
public struct NARInfoError: Error, Hashable, Sendable {
  /// What is wrong; callers branch on it.
  public let code: Code
  /// The line, the first being 1; `nil` if the text as a whole is at fault.
  public let line: Int?

  init(_ code: Code, line: Int? = nil) {
    self.code = code
    self.line = line
  }

  /// What is wrong with a narinfo.
  public enum Code: Error, Hashable, Sendable {
    /// The text is not UTF-8.
    case notUTF8
    /// A line is not a key, a colon, a space and a value.
    case invalidLine
    /// A field that must be there is not.
    case missingField(NARInfoField)
    /// A field has no value.
    case emptyField(NARInfoField)
    /// A field that may be there once is there again.
    case duplicateField(NARInfoField)
    /// The path is malformed.
    case invalidStorePath(StorePathError)
    /// The reference at this index is malformed.
    case invalidReference(Int, StorePathError)
    /// The deriver is malformed.
    case invalidDeriver(StorePathError)
    /// The deriver does not end in `.drv`.
    case deriverWithoutSuffix
    /// The signature at this index is malformed.
    case invalidSignature(Int, SigningError)
    /// The content address is malformed.
    case invalidContentAddress(ContentAddressError)
    /// A hash does not begin with `sha256:`.
    case missingHashPrefix(NARInfoField)
    /// A hash does not decode.
    case invalidHash(NARInfoField, TextEncodingError)
    /// A size is not a decimal number of at most 64 bits.
    case invalidSize(NARInfoField)
  }
}

extension NARInfoError: CustomStringConvertible {
  /// A sentence for the user.
  public var description: String {
    line.map { "narinfo, line \($0): \(code)" } ?? "narinfo: \(code)"
  }
}

extension NARInfoError.Code: CustomStringConvertible {
  /// What is wrong, without the place.
  public var description: String {
    switch self {
    case .notUTF8: "not UTF-8"
    case .invalidLine: "not a key, a colon, a space and a value"
    case .missingField(let field): "the field \(field.rawValue) is missing"
    case .emptyField(let field): "the field \(field.rawValue) is empty"
    case .duplicateField(let field): "the field \(field.rawValue) is there twice"
    case .invalidStorePath(let error): "StorePath: \(error)"
    case .invalidReference(let index, let error): "reference \(index): \(error)"
    case .invalidDeriver(let error): "Deriver: \(error)"
    case .deriverWithoutSuffix: "the deriver does not end in .drv"
    case .invalidSignature(let index, let error): "signature \(index): \(error)"
    case .invalidContentAddress(let error): "CA: \(error)"
    case .missingHashPrefix(let field): "\(field.rawValue) does not begin with sha256:"
    case .invalidHash(let field, let error): "\(field.rawValue): \(error)"
    case .invalidSize(let field): "\(field.rawValue) is not a number of 64 bits"
    }
  }
}
