/// What a session shall be like, said before it begins.
public struct SessionConfiguration: Sendable {
  /// What to use of what the client offers.
  public var capabilities: Capabilities = .core
  /// Largest request, in pages of 4096 bytes; the client may have a lower limit.
  public var maxPages: UInt16 = 256
  /// Requests that the client sends in the background before it waits. All reads through the page cache
  /// are such: with a low limit a few files that are slow to come would hold up all others.
  public var maxBackground: UInt16 = 4096
  /// From how many on it calls itself congested, and reads less ahead.
  public var congestionThreshold: UInt16 = 3072
  /// Most bytes to read ahead; nil takes what the client proposes.
  public var maxReadahead: UInt32?
  /// How many file systems may lie beneath a passthrough file: 1, or 2 for a store on overlayfs,
  /// which then excludes an overlayfs on top of the mount.
  public var maxStackDepth: UInt32 = 1
  /// Whether the thread ids in requests are of this machine, as they are for a mount. Then a request can be
  /// interrupted, if what `/proc` says of the thread calls for it; for others INTERRUPT is `ENOSYS`.
  public var hasLocalCallers = true
  /// The oldest minor version of the protocol to speak: 31, Linux 5.4, or later.
  public var oldestMinor: UInt32 = 31
  /// Told about our own faults, for example a reply that the kernel refuses. Called on any thread.
  public var onFault: (@Sendable (String) -> Void)?

  /// A configuration for content that does not change.
  public init() {}
}

/// What is agreed on when a session begins; a file system may change it in `initialize`.
public struct Negotiation: Sendable {
  /// Minor version of the protocol that both speak.
  public let minor: UInt32
  /// What the client offers.
  public let offered: Capabilities
  /// What shall be used; what is not offered is dropped afterwards.
  public var wanted: Capabilities
  /// Largest request, in pages.
  public var maxPages: UInt16
  /// See `SessionConfiguration`.
  public var maxStackDepth: UInt32
  /// For passthrough and notifications; nil for a virtual machine.
  public let kernel: KernelConnection?

  /// What will be used.
  public var agreed: Capabilities {
    var agreed = wanted.intersection(offered)
    // Flags of the upper half count only behind this one.
    if !agreed.contains(.initExtension) {
      agreed = Capabilities(rawValue: UInt64(agreed.lower))
    }
    // The kernel takes a depth of 0, or more than 2, for "no passthrough".
    if !(1...2).contains(maxStackDepth) { agreed.remove(.passthrough) }
    return agreed
  }
}

/// The outcome of INIT, kept for the length of the session. A virtual machine goes on with it after the
/// server was restarted: hand it to the new session.
public struct Agreement: Hashable, Sendable {
  /// Minor version of the protocol.
  public let minor: UInt32
  /// What is used.
  public let capabilities: Capabilities

  /// An agreement made earlier.
  public init(minor: UInt32, capabilities: Capabilities) {
    self.minor = minor
    self.capabilities = capabilities
  }
}

/// What a client speaks with which no session was begun.
struct InitRefusal: Hashable {
  var major: UInt32
  var minor: UInt32
  var oldestMinor: UInt32
}

/// Decides what to answer to INIT. Pure, so that tables can test it.
enum InitNegotiation {
  static let major: UInt32 = 7
  static let minor: UInt32 = 45
  static let oldestMinor: UInt32 = 31

  enum Outcome {
    /// The client speaks a later major version: it is told ours, and begins again.
    case proposeMajor(InitOut)
    /// The client is too old.
    case refuse(InitRefusal)
    /// Agreed.
    case agree(InitOut, Agreement)
  }

  static func answer(
    _ request: InitIn,
    configuration: SessionConfiguration,
    kernel: KernelConnection? = nil,
    adjust: (inout Negotiation) -> Void
  ) -> Outcome {
    if request.major > major {
      var out = InitOut()
      out.major = major
      out.minor = minor
      return .proposeMajor(out)
    }
    let oldest = Swift.max(oldestMinor, configuration.oldestMinor)
    guard request.major == major, request.minor >= oldest else {
      let (major, minor) = (request.major, request.minor)
      return .refuse(InitRefusal(major: major, minor: minor, oldestMinor: oldest))
    }
    var offered = UInt64(request.flags)
    if Capabilities(rawValue: offered).contains(.initExtension) {
      offered |= UInt64(request.flags2) << 32
    }
    var negotiation = Negotiation(
      minor: Swift.min(minor, request.minor),
      offered: Capabilities(rawValue: offered),
      wanted: configuration.capabilities,
      maxPages: configuration.maxPages,
      maxStackDepth: configuration.maxStackDepth,
      kernel: kernel
    )
    adjust(&negotiation)
    let agreed = negotiation.agreed
    var out = InitOut()
    out.major = major
    out.minor = negotiation.minor
    out.maxReadahead = configuration.maxReadahead ?? request.maxReadahead
    out.flags = agreed.lower
    out.flags2 = agreed.upper
    out.maxBackground = configuration.maxBackground
    out.congestionThreshold = configuration.congestionThreshold
    // The least that the protocol allows: nothing is ever written, and the read buffers stay small.
    out.maxWrite = 4096
    out.timeGranularity = 1
    if agreed.contains(.maxPages) { out.maxPages = Swift.max(1, negotiation.maxPages) }
    if agreed.contains(.passthrough) { out.maxStackDepth = negotiation.maxStackDepth }
    return .agree(out, Agreement(minor: negotiation.minor, capabilities: agreed))
  }
}
