import ArgumentParser
import CLinux
import Castore
import Glibc

/// The command line's arguments, which are bytes, as the text that the parser of arguments wants,
/// and back again without a loss.
///
/// Valid UTF-8 stays what it is. Every other byte becomes a character of the last private plane; what
/// is such a character already is taken apart in the same way, so that nothing has two readings.
enum ArgumentBytes {
  /// The arguments after the command's own name.
  ///
  /// The standard library reads them from `/proc`, which need not be there, and repairs what is not UTF-8,
  /// which changes names.
  static var all: [String] {
    guard let first = CLinux_arguments(), first.pointee != nil else { return [] }
    var arguments: [String] = []
    var next = first + 1
    while let argument = next.pointee {
      arguments.append(text(UnsafeRawBufferPointer(start: argument, count: strlen(argument))))
      next += 1
    }
    return arguments
  }

  /// The bytes that an argument stands for.
  static func bytes(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for scalar in text.unicodeScalars {
      if isStandIn(scalar) {
        bytes.append(UInt8(truncatingIfNeeded: scalar.value))
      } else {
        bytes += UTF8.encode(scalar).map { [UInt8]($0) } ?? []
      }
    }
    return bytes
  }

  /// Refuses an argument that is not UTF-8 where a path has to be text.
  static func requireText(_ text: String, _ what: String) throws {
    if text.unicodeScalars.contains(where: isStandIn) {
      throw ValidationError("\(what): '\(escaped(bytes(text)))' is not UTF-8; use another path")
    }
  }

  /// An argument's bytes as text.
  static func text(_ bytes: some Collection<UInt8>) -> String {
    var text = ""
    var parser = Unicode.UTF8.ForwardParser()
    var rest = bytes.makeIterator()
    var position = bytes.startIndex
    func takeApart(_ count: Int) {
      for _ in 0..<count {
        // Bytes from 0x80 up: others are never part of what is not valid, or of a longer sequence.
        if let scalar = Unicode.Scalar(0x10_FF00 + UInt32(bytes[position])) {
          text.unicodeScalars.append(scalar)
        }
        bytes.formIndex(after: &position)
      }
    }
    while true {
      switch parser.parseScalar(from: &rest) {
      case .emptyInput:
        return text
      case .valid(let encoded):
        let scalar = UTF8.decode(encoded)
        if isStandIn(scalar) {
          takeApart(encoded.count)
        } else {
          text.unicodeScalars.append(scalar)
          bytes.formIndex(&position, offsetBy: encoded.count)
        }
      case .error(let length):
        takeApart(length)
      }
    }
  }

  private static func isStandIn(_ scalar: Unicode.Scalar) -> Bool {
    (0x10_FF80...0x10_FFFF).contains(scalar.value)
  }
}
