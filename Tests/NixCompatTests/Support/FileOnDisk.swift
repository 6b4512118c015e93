import Foundation
import NixCompat

enum FileOnDisk {
  /// Writes a file and gives its path back.
  static func create(_ path: String, from source: inout ByteArraySource) throws -> String {
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = buffer.withUnsafeMutableBytes({ source.read(into: $0) }), count > 0 {
      contents += buffer[..<count]
    }
    try Data(contents).write(to: URL(filePath: path))
    return path
  }
}
