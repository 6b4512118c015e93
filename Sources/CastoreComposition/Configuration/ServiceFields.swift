public import Castore

/// The fields of one service in a composition file. Each must be asked for: one that nobody knows is an error.
public struct ServiceFields: Sendable {
  /// The value of a field.
  public enum Value: Hashable, Sendable {
    /// Text.
    case string(String)
    /// A whole number.
    case integer(Int)
    /// A truth value.
    case bool(Bool)
    /// Texts by name.
    case table([String: String])
    /// Something that no service has.
    case other(String)
  }

  /// Where the fields stand, as in `blobservices.root`.
  public let place: String
  /// The value of the field `type`.
  public let type: String
  private var values: [String: Value]
  private var known: [String] = ["type"]

  /// Joins fields with where they stand.
  public init(place: String, type: String, values: [String: Value]) {
    self.place = place
    self.type = type
    self.values = values
  }

  /// Takes text.
  public mutating func string(_ name: String) throws(ServiceError) -> String? {
    guard let value = take(name) else { return nil }
    guard case .string(let text) = value else { throw wrongKind(name, expected: "text", value) }
    return text
  }

  /// Takes text that must be there, under one of several names.
  public mutating func requiredString(_ names: String...) throws(ServiceError) -> String {
    var found: String?
    for name in names {
      guard let text = try string(name) else { continue }
      if found != nil { throw refusal("has both \(names.joined(separator: " and "))") }
      found = text
    }
    guard let found else { throw refusal("needs the field \(names.joined(separator: " or "))") }
    return found
  }

  /// Takes a whole number.
  public mutating func integer(_ name: String) throws(ServiceError) -> Int? {
    guard let value = take(name) else { return nil }
    guard case .integer(let number) = value else {
      throw wrongKind(name, expected: "a whole number", value)
    }
    return number
  }

  /// Takes a truth value.
  public mutating func bool(_ name: String) throws(ServiceError) -> Bool? {
    guard let value = take(name) else { return nil }
    guard case .bool(let truth) = value else {
      throw wrongKind(name, expected: "true or false", value)
    }
    return truth
  }

  /// Takes texts by name.
  public mutating func table(_ name: String) throws(ServiceError) -> [String: String]? {
    guard let value = take(name) else { return nil }
    guard case .table(let table) = value else {
      throw wrongKind(name, expected: "a table of texts", value)
    }
    return table
  }

  /// Refuses what was not asked for.
  public func finish() throws(ServiceError) {
    guard let stray = values.keys.min() else { return }
    throw refusal(
      "has an unknown field \"\(stray)\"; type \"\(type)\" has \(known.joined(separator: ", "))"
    )
  }

  /// An error about these fields.
  public func refusal(_ reason: String) -> ServiceError {
    ServiceError(.invalidArgument, "\(place) \(reason)")
  }

  private mutating func take(_ name: String) -> Value? {
    known.append(name)
    return values.removeValue(forKey: name)
  }

  private func wrongKind(_ name: String, expected: String, _ value: Value) -> ServiceError {
    refusal("has field \"\(name)\" = \(value); expected \(expected)")
  }
}
