internal import Platform

/// Several lists of root names as one: the first that knows a name has its say.
public struct CombinedRootNodes: RootNodes {
  private let sources: [any RootNodes]

  /// Asks lists in turn.
  public init(_ sources: [any RootNodes]) {
    self.sources = sources
  }

  /// Asks lists in turn. Where all of them are at hand, so is the result: it is `LocalRootNodes` then.
  public static func combining(_ sources: [any RootNodes]) -> any RootNodes {
    let local = sources.compactMap { $0 as? any LocalRootNodes }
    if local.count < sources.count { return CombinedRootNodes(sources) }
    return LocalCombinedRootNodes(sources: CombinedRootNodes(sources), local: local)
  }

  /// Looks a name up.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    for source in sources {
      if let node = try await source.node(named: name) { return node }
    }
    return nil
  }

  /// Streams the names of one list after the other, those left out that an earlier one has.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let listing = Listing(sources)
    return AsyncThrowingStream { try await listing.next() }
  }

  /// Goes through the lists. Remembers no names: for each it asks the earlier lists.
  private actor Listing {
    private let sources: [any RootNodes]
    private var place = 0
    private var current: AsyncThrowingStream<NamedNode, any Error>?

    init(_ sources: [any RootNodes]) {
      self.sources = sources
    }

    func next() async throws -> NamedNode? {
      while place < sources.count {
        let stream = current ?? sources[place].list()
        current = stream
        // The iterators of a stream share its place.
        var iterator = stream.makeAsyncIterator()
        guard let entry = try await iterator.next() else {
          current = nil
          place += 1
          continue
        }
        if try await !isKnown(entry.name, before: place) { return entry }
      }
      return nil
    }

    private func isKnown(_ name: PathComponent, before place: Int) async throws -> Bool {
      for source in sources[..<place] {
        if try await source.node(named: name) != nil { return true }
      }
      return false
    }
  }
}

/// Lists of root names, all of them at hand.
private final class LocalCombinedRootNodes: RootNodes, LocalRootNodes {
  private struct Versions {
    var seen: [UInt64] = []
    var count: UInt64 = 0
  }

  private let sources: CombinedRootNodes
  private let local: [any LocalRootNodes]
  private let versions = Guarded(Versions())

  init(sources: CombinedRootNodes, local: [any LocalRootNodes]) {
    self.sources = sources
    self.local = local
  }

  func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    try await sources.node(named: name)
  }

  func list() -> AsyncThrowingStream<NamedNode, any Error> {
    sources.list()
  }

  func nodeLocal(named name: PathComponent) throws(ServiceError) -> Node? {
    for source in local {
      if let node = try source.nodeLocal(named: name) { return node }
    }
    return nil
  }

  // Counts how often any of the versions was seen to be another: the versions themselves need not add up
  // to anything.
  func rootsVersion() throws(ServiceError) -> UInt64 {
    var now: [UInt64] = []
    for source in local { now.append(try source.rootsVersion()) }
    return versions.withLock { versions in
      if versions.seen != now {
        versions.seen = now
        versions.count &+= 1
      }
      return versions.count
    }
  }
}
