public import Castore
import TOMLKit

/// The services that a TOML file describes, by kind and name.
public struct CompositionFile: Sendable {
  // By the names of the tables.
  private var tables: [String: [String: ServiceFields]] = [:]

  /// The services of a kind, by name.
  public func services<Service>(of kind: ServiceKind<Service>) -> [String: ServiceFields] {
    tables[kind.tableName] ?? [:]
  }

  /// Reads a file's text.
  ///
  /// - Parameter name: What to call the file in errors.
  public init(toml text: String, name: String) throws(ServiceError) {
    let root: TOMLTable
    do {
      root = try TOMLTable(string: text)
    } catch let error as TOMLParseError {
      let place = "\(name):\(error.source.begin.line):\(error.source.begin.column)"
      throw ServiceError(.invalidArgument, "\(place): \(error.description)")
    } catch {
      throw ServiceError(.invalidArgument, "\(name): cannot be read", cause: error)
    }
    if let stray = root.keys.first(where: { !ServiceKinds.tableNames.contains($0) }) {
      throw ServiceError(
        .invalidArgument,
        "\(name): unknown table \"\(stray)\"; expected \(ServiceKinds.tableNames.joined(separator: ", "))"
      )
    }
    for table in ServiceKinds.tableNames {
      tables[table] = try Self.services(table, in: root, name)
    }
  }

  private static func services(
    _ kind: String,
    in root: TOMLTable,
    _ file: String
  ) throws(ServiceError) -> [String: ServiceFields] {
    guard let value = root[kind] else { return [:] }
    guard let table = value.table else {
      throw ServiceError(.invalidArgument, "\(file): \(kind) is not a table")
    }
    var services: [String: ServiceFields] = [:]
    for name in table.keys {
      let place = "\(file): \(kind).\(name)"
      guard let fields = table[name]?.table else {
        throw ServiceError(.invalidArgument, "\(place) is not a table")
      }
      guard let type = fields["type"]?.string else {
        throw ServiceError(.invalidArgument, "\(place) needs the field type, a text")
      }
      var values: [String: ServiceFields.Value] = [:]
      for key in fields.keys where key != "type" {
        values[key] = fields[key].map { Self.value($0) }
      }
      services[name] = ServiceFields(place: place, type: type, values: values)
    }
    return services
  }

  private static func value(_ value: any TOMLValueConvertible) -> ServiceFields.Value {
    switch value.type {
    case .string: return value.string.map { .string($0) } ?? .other("text")
    case .int: return value.int.map { .integer($0) } ?? .other("a number")
    case .bool: return value.bool.map { .bool($0) } ?? .other("a truth value")
    case .table:
      guard let table = value.table else { return .other("a table") }
      var texts: [String: String] = [:]
      for key in table.keys {
        guard let text = table[key]?.string else { return .other("a table of other than texts") }
        texts[key] = text
      }
      return .table(texts)
    default: return .other("\(value.type)")
    }
  }
}
