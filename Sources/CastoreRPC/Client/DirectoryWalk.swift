import Castore
import GRPCCore

/// The directories of one tree, as a server streams them, each checked to be one that was referred to.
actor DirectoryWalk {
  private let root: B3Digest
  private let peer: GRPCPeer
  private let begin: @Sendable () async throws -> ResponseStream<[UInt8]>
  private var stream: ResponseStream<[UInt8]>?
  // Referred to by what was given out, and not given out.
  private var expected: Set<B3Digest>
  private var received: Set<B3Digest> = []

  init(
    from root: B3Digest,
    peer: GRPCPeer,
    begin: @escaping @Sendable () async throws -> ResponseStream<[UInt8]>
  ) {
    self.root = root
    self.peer = peer
    self.begin = begin
    expected = [root]
  }

  /// The next directory; `nil` after the last, or at once where there is no root.
  func next() async throws(ServiceError) -> Directory? {
    try await peer.perform("reading directory \(root) and all below") {
      do {
        return try await advance()
      } catch {
        // Another try begins the stream again.
        stream = nil
        throw error
      }
    }
  }

  private func advance() async throws -> Directory? {
    if stream == nil { stream = try await begin() }
    while let bytes = try await stream?.next() {
      let digest = B3Digest(hashing: bytes)
      // Sent twice, or once more by a stream that was begun again.
      if received.contains(digest) { continue }
      guard expected.remove(digest) != nil else {
        throw ServiceError(
          .corrupt,
          "\(peer.name): asked for directory \(root) and all below, got \(digest), which nothing "
            + "before it refers to"
        )
      }
      let directory = try DirectoryCheck(peer: peer.name).decode(bytes)
      received.insert(digest)
      for case .directory(let child, _) in directory.entries.map(\.node)
      where !received.contains(child) {
        expected.insert(child)
      }
      return directory
    }
    if expected.isEmpty || received.isEmpty { return nil }
    throw ServiceError(
      .notFound,
      "\(peer.name): asked for directory \(root) and all below, the server left out "
        + "\(expected.count), such as \(expected.first ?? root)"
    )
  }
}
