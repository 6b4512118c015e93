/// How long a client waits for its server, and how often it tries.
package struct PeerOptions: Sendable {
  /// How long a call with one answer may take.
  package var answerTimeout: Duration = .seconds(30)
  /// How long a stream may go without a message that somebody waits for, or without taking one.
  package var idleTimeout: Duration = .seconds(30)
  /// How long the server may take to make an upload durable after its last byte.
  package var commitTimeout: Duration = .seconds(600)
  /// How long the server may take to compute the hash of a NAR, for which it reads a whole tree.
  package var calculationTimeout: Duration = .seconds(3600)
  /// How often a call that may be repeated is tried while the server cannot be reached.
  package var attempts = 6
  /// How long to wait before the second try; doubled for every further one.
  package var firstDelay: Duration = .milliseconds(50)
  /// The longest wait between tries, also between tries to connect.
  package var longestDelay: Duration = .seconds(2)
  /// The longest message accepted.
  package var messageLimit = WireLimits.message
  /// A file of certificates in PEM to trust instead of the system's; for `grpc+https`.
  package var trustedCertificates: String?

  /// The defaults.
  package init() {}

  /// How long to wait before a try, counted from 0.
  func delay(before attempt: Int) -> Duration {
    var delay = firstDelay
    for _ in 1..<max(1, attempt) where delay < longestDelay { delay *= 2 }
    return attempt == 0 ? .zero : min(delay, longestDelay)
  }
}
