public import Castore
import Glibc
import Platform

/// Root names of a far store, which are still known while it cannot be reached.
///
/// The far store is always asked first: names change. What it said last is remembered in a file, and told
/// again where it does not answer. Never recorded as roots of a near store, which may hold a part
/// of the trees only and has names of its own.
public final class CachingRootNodes: RootRegistry {
  private struct Memory {
    var node: Node
    // The listing that was the last to begin before the far side told of it.
    var listing: Int
  }

  private struct State {
    var nodes: [PathComponent: Memory] = [:]
    var listings = 0
    var isChanged = false
    // When the far side last could not be reached.
    var failure: ContinuousClock.Instant?
  }

  // How long a far side that could not be reached is not asked again: each try takes its time.
  private static let patience: Duration = .seconds(5)

  private let far: any RootNodes
  private let file: String
  private let state: Guarded<State>

  /// Remembers in a file, which need not exist.
  public init(far: any RootNodes, file: String) {
    self.far = far
    self.file = file
    var state = State()
    // What cannot be read is forgotten: it is a copy.
    for entry in Self.read(file) { state.nodes[entry.name] = Memory(node: entry.node, listing: 0) }
    self.state = Guarded(state)
  }

  /// Asks the far side; where it cannot be reached, memory.
  public func node(named name: PathComponent) async throws(ServiceError) -> Node? {
    if let node = remembered(name, whileFailing: true) { return node }
    do throws(ServiceError) {
      let node = try await far.node(named: name)
      remember(name, node)
      return node
    } catch {
      guard error.code == .unavailable else { throw error }
      state.withLock { $0.failure = .now }
      if let node = remembered(name, whileFailing: false) { return node }
      throw error
    }
  }

  /// Lists the far side's names; where it cannot be reached, those that are remembered.
  public func list() -> AsyncThrowingStream<NamedNode, any Error> {
    let far = far
    return AsyncThrowingStream { continuation in
      let task = Task.detached { [self] in
        var count = 0
        let listing = state.withLock { state in
          state.listings += 1
          return state.listings
        }
        do {
          for try await entry in far.list() {
            count += 1
            remember(entry.name, entry.node)
            continuation.yield(entry)
          }
          // What was broken off looks like one that is through.
          try Task.checkCancellation()
          forgetNames(before: listing)
          continuation.finish()
        } catch let error as ServiceError where error.code == .unavailable && count == 0 {
          let entries = state.withLock { $0.nodes.map { NamedNode(name: $0, node: $1.node) } }
          for entry in entries.sorted(by: { $0.name < $1.name }) { continuation.yield(entry) }
          continuation.finish(throwing: entries.isEmpty ? error : nil)
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Passes the change on.
  public func putRoot(
    _ name: PathComponent,
    _ node: Node,
    replace: Bool
  ) async throws(ServiceError) -> Node? {
    let old = try await registry().putRoot(name, node, replace: replace)
    remember(name, node)
    return old
  }

  /// Passes the change on.
  public func dropRoot(_ name: PathComponent) async throws(ServiceError) -> Bool {
    let wasThere = try await registry().dropRoot(name)
    remember(name, nil)
    return wasThere
  }

  private func registry() throws(ServiceError) -> any RootRegistry {
    guard let registry = far as? any RootRegistry else {
      throw ServiceError(.permissionDenied, "the roots cannot be changed")
    }
    return registry
  }

  private func remember(_ name: PathComponent, _ node: Node?) {
    state.withLock { state in
      state.failure = nil
      if state.nodes[name]?.node != node { state.isChanged = true }
      state.nodes[name] = node.map { Memory(node: $0, listing: state.listings) }
    }
  }

  // Names that the far side has told of neither in a listing that is now through nor since it began are gone.
  private func forgetNames(before listing: Int) {
    state.withLock { state in
      let count = state.nodes.count
      state.nodes = state.nodes.filter { $0.value.listing >= listing }
      if state.nodes.count != count { state.isChanged = true }
    }
  }

  private func remembered(_ name: PathComponent, whileFailing: Bool) -> Node? {
    state.withLock { state in
      if whileFailing {
        guard let failure = state.failure, failure.duration(to: .now) < Self.patience else {
          return nil
        }
      }
      return state.nodes[name]?.node
    }
  }
}

extension CachingRootNodes: SettlingService {
  /// Writes the names down.
  public func settle() async {
    let nodes = state.withLock { state -> [PathComponent: Memory]? in
      defer { state.isChanged = false }
      return state.isChanged ? state.nodes : nil
    }
    guard let nodes else { return }
    Self.write(nodes.map { NamedNode(name: $0, node: $1.node) }, to: file)
  }

  // The encoding of a directory has all that is needed, and a strict reader.
  private static func write(_ entries: [NamedNode], to file: String) {
    guard let bytes = try? Directory(entries).encoded() else { return }
    let draft = "\(file).\(getpid())"
    let number = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard number >= 0 else { return }
    let written = bytes.withUnsafeBytes { Glibc.write(number, $0.baseAddress, $0.count) }
    close(number)
    guard written == bytes.count, rename(draft, file) == 0 else {
      unlink(draft)
      return
    }
  }

  private static func read(_ file: String) -> [NamedNode] {
    let number = open(file, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return [] }
    defer { close(number) }
    var status = stat()
    guard fstat(number, &status) == 0, status.st_size >= 0, status.st_size <= 256 << 20 else {
      return []
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, filled in
      filled = max(0, Glibc.read(number, buffer.baseAddress, buffer.count))
    }
    return (try? Directory(canonicalEncoding: bytes))?.entries ?? []
  }
}
