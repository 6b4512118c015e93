internal import Castore
internal import CastoreNames

/// Looks whether all that trees refer to is there, each directory once.
struct ClosureWalk {
  private let core: StoreCore
  /// Directories with all below them found. What is not complete is looked at again for the next name that
  /// needs it, which is then named, too.
  private var complete: Set<UInt64> = []

  /// One directory on the way down.
  private struct Frame {
    var digest: B3Digest
    var entries: [NamedNode]
    var next = 0
    var isComplete = true
  }

  init(_ core: StoreCore) {
    self.core = core
  }

  /// Reports everything below a node that is missing or not as long as it should be.
  mutating func verify(
    _ node: Node,
    of name: String,
    report: (ServiceError) -> Void
  ) {
    var frames: [Frame] = []
    _ = check(node, "", name, &frames, report)
    while var frame = frames.popLast() {
      if frame.next == frame.entries.count {
        if frame.isComplete {
          complete.insert(Self.key(frame.digest))
        } else if !frames.isEmpty {
          frames[frames.count - 1].isComplete = false
        }
        continue
      }
      let entry = frame.entries[frame.next]
      frame.next += 1
      frames.append(frame)
      let place = frames.count - 1
      if !check(entry.node, "\(entry.name) in directory \(frame.digest)", name, &frames, report) {
        frames[place].isComplete = false
      }
    }
  }

  // Eight bytes of a digest that is spread evenly: a directory taken for another by them is one in 10^12
  // stores, and costs a finding, not data.
  private static func key(_ digest: B3Digest) -> UInt64 { digest.words.0 ^ digest.words.3 }

  /// Checks one node, and goes into it if it is a directory.
  private func check(
    _ node: Node,
    _ place: @autoclosure () -> String,
    _ name: String,
    _ frames: inout [Frame],
    _ report: (ServiceError) -> Void
  ) -> Bool {
    func shown() -> String {
      let place = place()
      return place.isEmpty ? name : "\(name): \(place)"
    }
    do throws(ServiceError) {
      switch node {
      case .symlink:
        return true
      case .file(let digest, let size, _):
        let object = HeldObject(digest: digest, kind: .blob)
        let found = try core.withRecord(object) { (pack, record) throws(ServiceError) in
          try core.size(pack, record)
        }
        guard let found else {
          throw ServiceError(.notFound, "\(shown()): blob \(digest) is missing")
        }
        if found != size {
          throw ServiceError(
            .corrupt,
            "\(shown()): blob \(digest) has \(found) bytes, but should have \(size)"
          )
        }
      case .directory(let digest, let size):
        if complete.contains(Self.key(digest)) { return true }
        let directory = try core.withDirectory(digest) { (bytes) throws(DirectoryError) in
          try Directory(canonicalEncoding: bytes)
        }
        guard let directory else {
          throw ServiceError(.notFound, "\(shown()): directory \(digest) is missing")
        }
        if !directory.accepts(statedSize: size) {
          throw ServiceError(
            .corrupt,
            "\(shown()): directory \(digest) does not have the stated size \(size)"
          )
        }
        frames.append(Frame(digest: digest, entries: directory.entries))
      }
      return true
    } catch {
      report(ServiceError(error.code, "\(shown()): \(error.message)", cause: error.cause))
      return false
    }
  }
}

/// Who refers to something, for messages.
func describe(_ reference: NameReference) -> String {
  switch reference.source {
  case .root: "root \(escaped(reference.name))"
  case .pathInfo: "store path \(nixDigest(reference.name))"
  case .pin: "pin of \(reference.node.object.map { "\($0.digest)" } ?? "a link")"
  }
}

// As Nix writes the first part of a store path: base 32 without e, o, t, u, from the last digit on.
private func nixDigest(_ bytes: [UInt8]) -> String {
  let alphabet = Array("0123456789abcdfghijklmnpqrsvwxyz".utf8)
  let count = (bytes.count * 8 + 4) / 5
  let digits = (0..<count).reversed().map { place -> UInt8 in
    let bit = place * 5
    var value = UInt16(bytes[bit / 8]) >> UInt16(bit % 8)
    if bit / 8 + 1 < bytes.count { value |= UInt16(bytes[bit / 8 + 1]) << UInt16(8 - bit % 8) }
    return alphabet[Int(value & 31)]
  }
  return String(decoding: digits, as: UTF8.self)
}
