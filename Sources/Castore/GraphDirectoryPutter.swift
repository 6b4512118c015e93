internal import Platform

/// A putter that collects a closure, checks it, and hands it over as a whole when it is closed.
///
/// Directories are in memory until then, within the limits of `DirectoryGraph`.
public final class GraphDirectoryPutter: DirectoryPutter {
  private enum State {
    case collecting(DirectoryGraph)
    case storing
    case closed(Result<B3Digest, ServiceError>)
  }

  private let state: Guarded<State>
  private let store: @Sendable (DirectoryClosure) async throws(ServiceError) -> Void

  /// Starts collecting.
  ///
  /// - Parameter store: Stores a checked closure, all or nothing, and returns when it is durable.
  public init(
    limits: DirectoryGraph.Limits = DirectoryGraph.Limits(),
    store: @escaping @Sendable (DirectoryClosure) async throws(ServiceError) -> Void
  ) {
    state = Guarded(.collecting(DirectoryGraph(.leavesToRoot, limits: limits)))
    self.store = store
  }

  /// Adds a directory. After one that did not fit, every further call and `close` throw that error.
  public func put(_ directory: Directory) async throws(ServiceError) {
    try state.withLock { (state) throws(ServiceError) in
      switch state {
      case .collecting(var graph):
        // Lets go of the state's copy, so that the graph changes in place.
        state = .storing
        do throws(DirectoryGraphError) {
          try graph.add(directory)
          state = .collecting(graph)
        } catch {
          state = .closed(.failure(ServiceError(error)))
          throw ServiceError(error)
        }
      case .closed(.failure(let error)):
        throw error
      case .storing, .closed(.success):
        throw ServiceError(.invalidArgument, "the putter was closed before")
      }
    }
  }

  /// Checks and stores the closure.
  public func close() async throws(ServiceError) -> B3Digest {
    let graph = try state.withLock { (state) throws(ServiceError) -> DirectoryGraph? in
      switch state {
      case .collecting(let graph):
        state = .storing
        return graph
      case .storing:
        throw ServiceError(.invalidArgument, "the putter is being closed by another task")
      case .closed:
        return nil
      }
    }
    if let graph {
      let result = await finish(graph)
      state.withLock { $0 = .closed(result) }
      return try result.get()
    }
    return try state.withLock { (state) throws(ServiceError) in
      guard case .closed(let result) = state else {
        throw ServiceError(.invalidArgument, "the putter is being closed by another task")
      }
      return try result.get()
    }
  }

  private func finish(_ graph: DirectoryGraph) async -> Result<B3Digest, ServiceError> {
    do throws(ServiceError) {
      let closure: DirectoryClosure
      do throws(DirectoryGraphError) {
        closure = try graph.validate()
      } catch {
        throw ServiceError(error)
      }
      try await store(closure)
      return .success(closure.root)
    } catch {
      return .failure(error)
    }
  }
}
