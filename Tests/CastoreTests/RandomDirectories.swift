import Castore
import CastoreTestSupport

extension SeededGenerator {
  /// A valid directory with names, kinds and sizes that are often at the edges.
  mutating func directory(maximumCount: Int = 40) -> Directory {
    var entries: [PathComponent: Node] = [:]
    for _ in 0..<Int.random(in: 0...maximumCount, using: &self) { entries[name()] = node() }
    let named = entries.map { NamedNode(name: $0, node: $1) }
    guard let directory = try? Directory(named) else { preconditionFailure("seed \(seed)") }
    return directory
  }

  /// A valid name.
  mutating func name() -> PathComponent {
    while true {
      let length = [1, 1, 2, 3, 8, 127, 128, 254, 255].randomElement(using: &self) ?? 1
      let alphabet: ClosedRange<UInt8> = Bool.random(using: &self) ? 0x61...0x63 : 1...255
      let bytes = (0..<length).map { _ in UInt8.random(in: alphabet, using: &self) }
      if let name = try? PathComponent(bytes) { return name }
    }
  }

  /// A valid node.
  mutating func node() -> Node {
    let sizes: [UInt64] = [0, 1, 127, 128, 16_383, 16_384, 1 << 32, 1 << 56]
    let size = sizes.randomElement(using: &self) ?? 0
    guard let digest = try? B3Digest(bytes: bytes(32)) else { preconditionFailure() }
    switch UInt8.random(in: 0..<3, using: &self) {
    case 0: return .directory(digest: digest, size: size)
    case 1:
      let isExecutable = Bool.random(using: &self)
      return .file(digest: digest, size: size, isExecutable: isExecutable)
    default:
      let length = [1, 2, 127, 128, 4095].randomElement(using: &self) ?? 1
      let bytes = (0..<length).map { _ in UInt8.random(in: 1...255, using: &self) }
      guard let target = try? SymlinkTarget(bytes) else { preconditionFailure() }
      return .symlink(target: target)
    }
  }

  /// Bytes with a few of them changed, left out, doubled or inserted.
  mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &self) where !bytes.isEmpty {
      let place = Int.random(in: 0..<bytes.count, using: &self)
      switch UInt8.random(in: 0..<6, using: &self) {
      case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      case 1: bytes[place] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &self) ?? 0
      case 2: bytes.remove(at: place)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &self), at: place)
      case 4: bytes.insert(contentsOf: bytes[place...].prefix(43), at: place)
      default: bytes.removeSubrange(place..<min(bytes.count, place + 43))
      }
    }
    return bytes
  }
}
