import Foundation
import Glibc

extension Castore {
  /// Beside the binary: starts it where something is limited or forbidden.
  private static let limiter = (binary as NSString).deletingLastPathComponent + "/start-limited"

  /// The words before a command that limit it, see the helper.
  static func limited(_ limits: [String]) -> [any Word] { [limiter] + limits + ["--"] }

  static func limited(_ limits: String...) -> [any Word] { limited(limits) }

  /// A user and group that nobody else is, so that their processes are counted alone.
  static func makeUser() -> UInt32 {
    UInt32.random(in: 200_000_000...900_000_000)
  }

  /// Whether a process ended as one may that lacks something: well, or with a plain error.
  static func isOrderly(_ outcome: Outcome) -> Bool {
    switch outcome.status {
    case .exited(0): true
    // The loader's own error is 127.
    case .exited(1), .exited(64), .exited(127): !outcome.errors.isEmpty
    default: false
    }
  }
}
