internal import Glibc
internal import Platform

/// What is wrong with a message.
enum WireError: Error, Hashable {
  /// Shorter than its fixed part, or than its header says.
  case truncated
  /// The length in the header does not fit the message.
  case wrongLength
  /// A name without NUL at its end, empty, with `/`, or with more bytes behind it.
  case badName
  /// A name of more than 255 bytes.
  case nameTooLong

  var errno: CInt {
    switch self {
    case .truncated, .wrongLength, .badName: EINVAL
    case .nameTooLong: ENAMETOOLONG
    }
  }
}

/// Walks over the bytes of one request. Reads each field once, so that memory which a guest changes
/// meanwhile cannot slip between check and use; transports copy such memory first all the same, for names.
struct MessageReader {
  let header: RequestHeader
  private var rest: UnsafeRawBufferPointer

  /// Checks the header. Bytes beyond the length that it states are ignored.
  init(_ message: UnsafeRawBufferPointer) throws(WireError) {
    let size = MemoryLayout<RequestHeader>.size
    guard message.count >= size else { throw .truncated }
    header = message.loadUnaligned(as: RequestHeader.self)
    let extensions = Int(header.extensionLength) * 8
    guard let length = Int(exactly: header.length), length <= message.count,
      length >= size + extensions
    else { throw .wrongLength }
    rest = UnsafeRawBufferPointer(rebasing: message[size..<length - extensions])
  }

  /// How many bytes are left.
  var count: Int { rest.count }

  /// Takes a fixed part.
  mutating func take<Part: BitwiseCopyable>(_ type: Part.Type) throws(WireError) -> Part {
    let size = MemoryLayout<Part>.size
    guard rest.count >= size else { throw .truncated }
    let part = rest.loadUnaligned(as: type)
    rest = UnsafeRawBufferPointer(rebasing: rest[size...])
    return part
  }

  /// Takes a fixed part that older clients send shorter, with zeros for what is not there.
  mutating func take<Part: BitwiseCopyable>(
    atLeast minimum: Int,
    of zero: Part
  ) throws(WireError) -> Part {
    guard rest.count >= minimum else { throw .truncated }
    var part = zero
    withUnsafeMutableBytes(of: &part) { part in
      part.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(part.count)))
    }
    rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(MemoryLayout<Part>.size))
    return part
  }

  /// Takes the name that fills the rest.
  ///
  /// - Parameter allowingSlash: True for names of extended attributes.
  mutating func takeName(allowingSlash: Bool = false) throws(WireError) -> UnsafeRawBufferPointer {
    guard let end = rest.firstIndex(of: 0) else {
      throw rest.count > 255 ? .nameTooLong : .badName
    }
    guard end <= 255 else { throw .nameTooLong }
    let name = UnsafeRawBufferPointer(rebasing: rest[..<end])
    guard end > 0, end + 1 == rest.count, allowingSlash || !name.contains(UInt8(ascii: "/"))
    else { throw .badName }
    rest = UnsafeRawBufferPointer(start: nil, count: 0)
    return name
  }
}
