/// A pack's or a journal's name: the session that writes it, and a number of that session's own.
package struct PackID: Sendable, Hashable, BitwiseCopyable {
  /// The length of an id in bytes.
  static let byteCount = 16

  package var session: UInt64
  package var number: UInt64

  package init(session: UInt64, number: UInt64) {
    self.session = session
    self.number = number
  }

  /// What a file of a store's `packs` folder is.
  package enum FileKind: String, Sendable {
    case pack
    case journal
  }

  /// The file's name, `<16 hexadecimal digits>-<number>.pack`.
  package func fileName(_ kind: FileKind) -> String { "\(self).\(kind.rawValue)" }

  /// Reads a file's name; nothing if it is not exactly one that `fileName` makes.
  package static func parse(fileName: String) -> (id: PackID, kind: FileKind)? {
    let parts = fileName.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let kind = FileKind(rawValue: String(parts[1])) else { return nil }
    let numbers = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard numbers.count == 2, let session = Hexadecimal.number(numbers[0]),
      let number = UInt64(numbers[1]), String(number) == numbers[1]
    else { return nil }
    return (PackID(session: session, number: number), kind)
  }
}

extension PackID: CustomStringConvertible {
  package var description: String { "\(Hexadecimal.digits(of: session))-\(number)" }
}
