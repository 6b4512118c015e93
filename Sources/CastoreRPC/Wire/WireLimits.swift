/// Sizes of messages and windows on the wire, for both ends.
package enum WireLimits {
  /// How many bytes of a blob travel in one message.
  ///
  /// Measured between 64 KiB and 1 MiB; existing peers refuse messages above 4 MiB.
  package static let blobMessage = 512 * 1024

  /// The longest message accepted by default: a directory of some 200,000 entries.
  package static let message = 16 * 1024 * 1024

  /// How much may be on its way in one stream before the receiver has taken it.
  ///
  /// The transport's default for servers, 64 KiB, makes uploads eight times slower.
  package static let window = 4 * 1024 * 1024

  /// The longest HTTP/2 frame.
  package static let frame = 1024 * 1024

  /// How many calls one connection may have open at the server; more of them wait at the client.
  package static let streamsPerConnection = 256

  /// How many calls a client makes at a time. What is read or written bit by bit does not count while
  /// nobody reads or writes; servers let in 100 at least.
  package static let callsPerConnection = 32

  /// How many big blobs a client keeps a stream open for, between reads of them.
  package static let idleStreams = 24
}
