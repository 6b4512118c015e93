import Castore
import CastoreNames
import CastoreTestSupport
import Foundation
import Testing

/// A node that a number stands for.
func node(_ index: Int) -> Node {
  let digest = B3Digest(hashing: withUnsafeBytes(of: index) { [UInt8]($0) })
  return .file(digest: digest, size: UInt64(index), isExecutable: false)
}

func name(_ text: String) throws -> PathComponent { try PathComponent(text) }

/// New names in a folder.
func makeNames(_ path: String) throws -> SQLiteNames {
  try SQLiteNames.create(at: path)
  return try SQLiteNames(opening: path)
}

extension SQLiteNames {
  /// All roots, read page by page.
  func allRoots(pageSize: Int = 256) throws -> [NamedNode] {
    var all: [NamedNode] = []
    while true {
      let page = try roots(after: all.last?.name, limit: pageSize)
      #expect(page.count <= pageSize)
      if page.isEmpty { return all }
      all += page
    }
  }

  /// What a collection would keep.
  func references(unnamedSince time: Int64? = nil) throws -> [NameReference] {
    var references: [NameReference] = []
    try forEachReference(unnamedSince: time) { (reference) throws(ServiceError) in
      references.append(reference)
    }
    return references
  }
}

/// Runs `body` and returns its service error, if it was one.
func serviceError<Result>(_ body: () throws -> Result) -> ServiceError? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? ServiceError
  }
}

/// Copies a file of names with what lies beside it.
func copyNames(_ from: String, to: String) throws {
  for suffix in ["", "-wal", "-shm", ".changes"] {
    unlink(to + suffix)
    guard let data = FileManager.default.contents(atPath: from + suffix) else { continue }
    try data.write(to: URL(fileURLWithPath: to + suffix))
  }
}
