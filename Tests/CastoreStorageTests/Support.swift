import Castore
import CastoreStorage
import CastoreTestSupport
import FileTree
import Foundation

extension LocalStore {
  /// Stores a blob and returns when it is durable.
  func put(_ bytes: [UInt8]) throws -> B3Digest {
    let writer = try makeWriter()
    let digest = try bytes.withUnsafeBytes { try writer.putBlob($0) }
    try writer.flush()
    return digest
  }

  /// Reads up to `count` bytes.
  func read(_ digest: B3Digest, at offset: UInt64 = 0, count: Int) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0xEE, count: count)
    let filled = try bytes.withUnsafeMutableBytes { try readLocal(digest, at: offset, into: $0) }
    return filled.map { [UInt8](bytes.prefix($0)) }
  }

  /// Imports a tree and names it.
  @discardableResult
  func importTree(_ path: String, as name: String) throws -> Node {
    let writer = try makeWriter()
    let result = try TreeImporter(into: writer).run(path)
    try setRoot(PathComponent(name), to: result.node)
    return result.node
  }

  /// Everything that `verify` complains about.
  func problems() throws -> [String] {
    var problems: [String] = []
    _ = try verify(rehash: true) { problems.append("\($0)") }
    return problems
  }
}

/// Bytes without a pattern, the same for the same seed.
func noise(_ count: Int, seed: UInt64) -> [UInt8] {
  var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
  var words = [UInt64](repeating: 0, count: count / 8 + 1)
  for index in words.indices {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    words[index] = state
  }
  return words.withUnsafeBytes { [UInt8]($0.prefix(count)) }
}

/// A tree of many small files, some large ones, folders in folders, links.
func makeTree(at path: String, files: Int, large: Int, seed: UInt64 = 1) throws {
  let manager = FileManager.default
  for index in 0..<files {
    let folder = "\(path)/d\(index % 23)/e\(index % 7)"
    if index < 161 {
      try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    let bytes = noise(index * 37 % 9000, seed: seed &+ UInt64(index))
    try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/f\(index)"))
    if index % 50 == 0 { symlink("../e0/f\(index)", "\(folder)/l\(index)") }
  }
  for index in 0..<large {
    let block = noise(350_000 + index, seed: seed &+ 77 &+ UInt64(index))
    let bytes = block + block + block
    try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/d0/large\(index)"))
  }
}

/// Runs `body` and returns the store's error, if it was one.
func serviceError(_ body: () throws -> Void) -> ServiceError? {
  do {
    try body()
    return nil
  } catch {
    return error as? ServiceError
  }
}
