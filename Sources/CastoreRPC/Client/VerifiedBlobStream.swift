import BLAKE3
import Castore
import GRPCCore

/// The bytes of a blob from its start, as the server sends them, hashed on the way.
///
/// The last bytes are given out only when all were seen to be what the digest says. For one task at a time.
final class VerifiedBlobStream {
  /// How many bytes were given out.
  private(set) var position: UInt64 = 0
  /// Whether everything was given out, and is right.
  private(set) var isComplete = false

  private let messages: ResponseStream<[UInt8]>
  private let digest: B3Digest
  private let size: UInt64?
  private let peer: String
  private var hasher = BLAKE3.Hasher()
  // Came, and is not given out before the one after it is there.
  private var held: [UInt8]?

  /// Starts reading.
  ///
  /// - Parameter size: The blob's length, where it is known.
  init(_ messages: ResponseStream<[UInt8]>, of digest: B3Digest, size: UInt64?, peer: String) {
    self.messages = messages
    self.digest = digest
    self.size = size
    self.peer = peer
  }

  /// Some more bytes, at least one; `nil` at the end.
  func next() async throws -> [UInt8]? {
    while !isComplete {
      guard let bytes = try await messages.next() else {
        try check()
        isComplete = true
        return give(held.take())
      }
      if bytes.isEmpty { continue }
      hasher.update(bytes)
      let seen = position + UInt64(held?.count ?? 0) + UInt64(bytes.count)
      if let size, seen > size {
        throw corrupt("sent more than the \(size) bytes that it has")
      }
      let ready = held
      held = bytes
      if let ready { return give(ready) }
    }
    return nil
  }

  private func give(_ bytes: [UInt8]?) -> [UInt8]? {
    position += UInt64(bytes?.count ?? 0)
    return bytes
  }

  private func check() throws {
    let seen = position + UInt64(held?.count ?? 0)
    if let size, seen != size { throw corrupt("sent \(seen) of its \(size) bytes") }
    let actual = B3Digest(hasher.finalize())
    guard actual == digest else { throw corrupt("sent bytes of digest \(actual)") }
  }

  private func corrupt(_ what: String) -> ServiceError {
    ServiceError(.corrupt, "\(peer): asked for blob \(digest), the server \(what)")
  }
}
