/// Numbers as 16 lower-case hexadecimal digits.
enum Hexadecimal {
  static func digits(of number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// The number, if the text is exactly what `digits` makes of it.
  static func number(_ text: Substring) -> UInt64? {
    guard text.utf8.count == 16, let number = UInt64(text, radix: 16), digits(of: number) == text
    else { return nil }
    return number
  }
}
