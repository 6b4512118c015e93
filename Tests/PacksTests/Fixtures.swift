import Foundation
import Glibc
import Packs
import Platform

/// A folder for a session, gone with this object.
final class TestStore {
  let path: String

  init(in parent: String = NSTemporaryDirectory()) throws {
    path = parent + "/packs-\(UUID().uuidString)"
    for folder in ["", "/packs", "/tmp", "/index"] {
      try FileManager.default.createDirectory(
        atPath: path + folder,
        withIntermediateDirectories: true
      )
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func folder(_ name: String) throws -> OwnedDescriptor {
    OwnedDescriptor(
      adopting: try retryingOnInterrupt {
        open(path + "/" + name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      }
    )
  }

  func session(
    _ id: UInt64 = 0xABCD,
    _ change: (inout PackSession.Options) -> Void = { _ in }
  ) throws -> PackSession {
    var options = PackSession.Options()
    change(&options)
    return PackSession(
      id: id,
      temporary: try folder("tmp"),
      packs: try folder("packs"),
      options: options
    )
  }

  func list(_ name: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path + "/" + name).sorted()
  }

  func bytes(_ name: String) throws -> FileBytes {
    let number = try retryingOnInterrupt { open(path + "/" + name, O_RDONLY | O_CLOEXEC) }
    return try FileBytes(OwnedDescriptor(adopting: number), name: name)
  }

  func contents(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
  }

  /// The pack, opened anew.
  func pack(_ sealed: SealedPack) throws -> PackReader {
    try PackReader(bytes("packs/" + sealed.id.fileName(.pack)), id: sealed.id)
  }
}

/// Numbers that are the same whenever the seed is.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }

  mutating func key() -> PackKey { PackKey(words: (next(), next(), next(), next())) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { buffer in
      var offset = 0
      while offset + 8 <= count {
        buffer.storeBytes(of: next(), toByteOffset: offset, as: UInt64.self)
        offset += 8
      }
      while offset < count {
        buffer[offset] = UInt8(truncatingIfNeeded: next()) | 1
        offset += 1
      }
    }
    return bytes
  }
}

/// A record as it was written.
struct Written {
  let key: PackKey
  let kind: RecordKind
  let bytes: [UInt8]
}

extension SeededRandom {
  mutating func records(_ count: Int, upTo length: Int) -> [Written] {
    (0..<count).map { number in
      Written(
        key: key(),
        kind: number % 5 == 0 ? .directory : .blob,
        bytes: bytes(Int.random(in: 0...length, using: &self))
      )
    }
  }
}

extension PackWriter {
  /// Puts a record in either way.
  func add(_ record: Written, reserving: Bool = true) throws {
    if !reserving {
      return try record.bytes.withUnsafeBytes { (bytes) throws in
        try put(record.key, kind: record.kind, bytes)
      }
    }
    let place = try reserve(record.bytes.count)
    place.copyBytes(from: record.bytes)
    commit(record.key, kind: record.kind, length: record.bytes.count)
  }
}

extension PackReader {
  func bytes(_ place: RecordPlace) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0xEE, count: Int(place.length))
    let count = try bytes.withUnsafeMutableBytes { try read(place, into: $0) }
    return [UInt8](bytes.prefix(count))
  }

  func bytes(_ key: PackKey, _ kinds: RecordKinds) throws -> [UInt8]? {
    guard let place = try find(key, kinds) else { return nil }
    return try bytes(place)
  }
}
