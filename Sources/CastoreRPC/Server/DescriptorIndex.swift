import CastoreProtos
import SwiftProtobuf

/// The descriptors of all protos, to be looked up by file and by symbol.
struct DescriptorIndex: Sendable {
  private struct File {
    var bytes: [UInt8]
    var imports: [String]
  }

  private var files: [String: File] = [:]
  private var fileOfSymbol: [String: String] = [:]

  /// Reads the descriptors that were generated with the messages.
  init() throws {
    let set = try Google_Protobuf_FileDescriptorSet(
      serializedBytes: ProtoDescriptors.fileDescriptorSet
    )
    for file in set.file {
      files[file.name] = File(bytes: try file.serializedBytes(), imports: file.dependency)
      for message in file.messageType { add(message, in: file.package, of: file.name) }
      for enumeration in file.enumType {
        fileOfSymbol["\(file.package).\(enumeration.name)"] = file.name
      }
      for service in file.service {
        let name = "\(file.package).\(service.name)"
        fileOfSymbol[name] = file.name
        for method in service.method { fileOfSymbol["\(name).\(method.name)"] = file.name }
      }
    }
  }

  private mutating func add(
    _ message: Google_Protobuf_DescriptorProto,
    in scope: String,
    of file: String
  ) {
    let name = "\(scope).\(message.name)"
    fileOfSymbol[name] = file
    for field in message.field { fileOfSymbol["\(name).\(field.name)"] = file }
    for enumeration in message.enumType { fileOfSymbol["\(name).\(enumeration.name)"] = file }
    for nested in message.nestedType { add(nested, in: name, of: file) }
  }

  /// A file and all that it imports, itself first; `nil` where there is none of that name.
  func files(named name: String) -> [[UInt8]]? {
    guard files[name] != nil else { return nil }
    var found: [[UInt8]] = []
    var pending = [name]
    var seen: Set<String> = [name]
    while let next = pending.popLast() {
      guard let file = files[next] else { continue }
      found.append(file.bytes)
      for name in file.imports where seen.insert(name).inserted { pending.append(name) }
    }
    return found
  }

  /// The file that declares a symbol, and all that it imports.
  func files(declaring symbol: String) -> [[UInt8]]? {
    fileOfSymbol[symbol].flatMap { files(named: $0) }
  }
}
