/// What the device is like.
public struct VirtioFSConfiguration: Sendable {
  /// The name that the guest mounts, at most 36 bytes. Only told where the front end asks the device;
  /// QEMU and others have it on their own command line instead: then leave it nil.
  public var tag: String?
  /// How many request queues a guest may use at most, 1 to 64. Each used one has a thread.
  public var requestQueues = 1
  /// Longest queue that is accepted: a power of two up to 32768.
  public var maximumQueueSize = 32768
  /// How many requests of one queue may wait for an answer before no more are taken from it.
  public var maximumInFlight = 256
  /// How long the monitor is kept waiting, when it stops the machine, for requests in flight: at most an hour.
  /// What takes longer is broken off and done again when the machine goes on.
  public var stopPatience = Duration.seconds(2)
  /// Told what happens, for a log. Called on any thread.
  public var onEvent: (@Sendable (VirtioFSEvent) -> Void)?

  /// The default configuration.
  public init() {}

  /// - Throws: What is wrong with it.
  func check() throws(VirtioFSError) {
    if let tag, tag.isEmpty || tag.utf8.count > 36 || tag.utf8.contains(0) {
      throw VirtioFSError(.configuration, "a tag has 1 to 36 bytes and no NUL: '\(tag)'")
    }
    guard (1...64).contains(requestQueues) else {
      throw VirtioFSError(.configuration, "1 to 64 request queues, not \(requestQueues)")
    }
    guard (2...32768).contains(maximumQueueSize), maximumQueueSize.nonzeroBitCount == 1 else {
      throw VirtioFSError(
        .configuration,
        "a queue's size is a power of two from 2 to 32768, not \(maximumQueueSize)"
      )
    }
    guard maximumInFlight > 0 else {
      throw VirtioFSError(.configuration, "at least 1 request must be allowed in flight")
    }
    guard (.zero ... .seconds(3600)).contains(stopPatience) else {
      throw VirtioFSError(
        .configuration,
        "0 to 3600 seconds of patience when a machine stops, not \(stopPatience)"
      )
    }
  }
}

/// What happens to a device.
public enum VirtioFSEvent: Sendable, CustomStringConvertible {
  /// A virtual machine monitor connected.
  case connected
  /// It is gone.
  case disconnected
  /// It broke the protocol; the sentence says how.
  case frontEndFault(String)
  /// The guest broke a ring, which stands still from now on.
  case ringFault(queue: Int, String)

  /// A sentence for a log.
  public var description: String {
    switch self {
    case .connected: "a virtual machine monitor connected"
    case .disconnected: "the virtual machine monitor is gone"
    case .frontEndFault(let fault): "the virtual machine monitor broke the protocol: \(fault)"
    case .ringFault(let queue, let fault): "queue \(queue) stopped: \(fault)"
    }
  }
}
