internal import Castore

/// Reads the fields of one protobuf message, and only in the order and form of canonical encoding.
struct FieldReader: ~Escapable {
  private let message: RawSpan
  private var cursor: WireCursor
  private var field: UInt64 = 0
  private var type: UInt64 = 0
  private var start = 0

  /// Reads the message that lies in a part of `bytes`, within its bounds.
  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ range: Range<Int>) {
    message = bytes
    cursor = WireCursor(bytes, range)
  }

  /// Goes on to the next field, whose value must be read next.
  ///
  /// - Parameter repeated: The fields that may come several times.
  /// - Returns: Its number; `nil` at the end.
  @_lifetime(self: copy self)
  mutating func next(repeated: ClosedRange<UInt64>? = nil) throws(PathInfoError) -> UInt64? {
    if cursor.isAtEnd { return nil }
    let last = field
    start = cursor.offset
    do throws(WireError) {
      (field, type) = try cursor.tag()
    } catch {
      throw .malformed(error)
    }
    if field == last && repeated?.contains(field) != true { throw flaw(.repeatedField(field)) }
    if field < last { throw flaw(.fieldOutOfOrder(field)) }
    return field
  }

  /// What is wrong with a field that nobody knows.
  var unknownField: PathInfoError { flaw(.unknownField(field)) }

  /// A number, which is not the default.
  @_lifetime(self: copy self)
  mutating func number() throws(PathInfoError) -> UInt64 {
    guard type == WireCursor.varint else { throw unknownField }
    let number: UInt64
    do throws(WireError) {
      number = try cursor.number()
    } catch {
      throw .malformed(error)
    }
    if number == 0 { throw flaw(.explicitDefault(field)) }
    return number
  }

  /// Where the value lies.
  @_lifetime(self: copy self)
  mutating func range() throws(PathInfoError) -> Range<Int> {
    guard type == WireCursor.delimited else { throw unknownField }
    do throws(WireError) {
      return try cursor.lengthDelimited()
    } catch {
      throw .malformed(error)
    }
  }

  /// The bytes of the value.
  ///
  /// - Parameter allowsDefault: Whether it may be empty, as members of lists and messages may.
  @_lifetime(self: copy self)
  mutating func bytes(
    orDefault allowsDefault: Bool = true
  ) throws(PathInfoError) -> [UInt8] {
    let range = try range()
    if range.isEmpty && !allowsDefault { throw flaw(.explicitDefault(field)) }
    return message.extracting(range).withUnsafeBytes { [UInt8]($0) }
  }

  /// The text of the value.
  @_lifetime(self: copy self)
  mutating func text(
    _ name: String,
    orDefault allowsDefault: Bool = true
  ) throws(PathInfoError) -> String {
    let bytes = try bytes(orDefault: allowsDefault)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .notUTF8(field: name)
    }
    return text
  }

  private func flaw(_ reason: WireError.Reason) -> PathInfoError {
    .malformed(WireError(reason, at: start))
  }
}
