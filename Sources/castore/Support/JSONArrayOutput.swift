/// An array of JSON on standard output, printed value by value as they come.
///
/// What was printed is a whole array also where a failure comes in between: letting go of it ends the array.
final class JSONArrayOutput {
  private var isBegun = false
  private var isFinished = false

  deinit {
    if isBegun && !isFinished { try? Output.line("]") }
  }

  /// Prints one more value.
  func add(_ value: JSON) throws {
    try Output.write([UInt8]((isBegun ? ",\n" : "[").utf8) + [UInt8](value.text.utf8))
    isBegun = true
  }

  /// Ends the array.
  func finish() throws {
    isFinished = true
    try Output.line(isBegun ? "]" : "[]")
  }
}
