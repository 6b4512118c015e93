public import Castore

/// Lists of root names that may not be offered at all, such as those of a server that knows nothing of
/// named roots. What is not offered counts as empty, unless nothing is offered.
public struct OfferedRootNodes: RootNodes {
  private let sources: [any RootNodes]

  /// Asks lists in turn.
  public init(_ sources: [any RootNodes]) {
    self.sources = sources
  }

  /// Looks a name up. A list that cannot be reached is an error only where no other knows the name.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    var failure: ServiceError?
    var refusals: [ServiceError] = []
    for source in sources {
      do throws(ServiceError) {
        if let node = try await source.node(named: name) { return node }
      } catch {
        switch error.code {
        case .unsupported: refusals.append(error)
        case .unavailable: failure = failure ?? error
        default: throw error
        }
      }
    }
    if refusals.count == sources.count { failure = failure ?? refusals.first }
    if let failure { throw failure }
    return nil
  }

  /// Streams the names of one list after the other, those left out that an earlier one has.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let combined = CombinedRootNodes(sources.map { Offered(source: $0) }).list()
    return AsyncThrowingStream {
      // The iterators of a stream share its place.
      var iterator = combined.makeAsyncIterator()
      return try await iterator.next()
    }
  }

  private struct Offered: RootNodes {
    let source: any RootNodes

    func node(named name: PathComponent) async throws(ServiceError) -> Node? {
      do throws(ServiceError) {
        return try await source.node(named: name)
      } catch {
        if error.code == .unsupported { return nil }
        throw error
      }
    }

    func list() -> AsyncThrowingStream<NamedNode, any Error> {
      let stream = source.list()
      return AsyncThrowingStream {
        do {
          var iterator = stream.makeAsyncIterator()
          return try await iterator.next()
        } catch let error as ServiceError where error.code == .unsupported {
          return nil
        }
      }
    }
  }
}
