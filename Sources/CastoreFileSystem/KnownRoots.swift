internal import Castore
internal import Platform

/// What names in the root stood for when the store last said so: for a store that may be out of reach.
///
/// The kernel asks again and again what a name in the root stands for. An error makes it drop the name, with
/// whatever is mounted below and whoever works there: so what could not be asked stays as it was.
/// Holds what the kernel holds, and at most as much again. Safe from any thread.
final class KnownRoots: Sendable {
  private struct Known {
    var node: Node
    /// The kernel's name for it.
    var id: UInt64
  }

  private struct State {
    var names: [PathComponent: Known] = [:]
    /// Until when the store is not asked.
    var silence: ContinuousClock.Instant?
    /// At how many names those are looked for that the kernel has forgotten.
    var sweepCount = KnownRoots.floor
  }

  private static let floor = 1024
  private let state = Guarded(State())

  /// Remembers a name that the kernel is told of.
  ///
  /// - Parameter isKnown: Says whether the kernel still knows a node.
  func remember(_ name: PathComponent, _ node: Node, id: UInt64, isKnown: (UInt64) -> Bool) {
    state.withLock { state in
      state.names[name] = Known(node: node, id: id)
      guard state.names.count >= state.sweepCount else { return }
      state.names = state.names.filter { isKnown($0.value.id) }
      state.sweepCount = max(Self.floor, 2 * state.names.count)
    }
  }

  /// Forgets a name of which the store says that it stands for nothing.
  func forget(_ name: PathComponent) {
    state.withLock { state in _ = state.names.removeValue(forKey: name) }
  }

  /// What a name stood for.
  func node(named name: PathComponent) -> Node? {
    state.withLock { $0.names[name]?.node }
  }

  /// What a name stood for, while there is no use in asking.
  func nodeInSilence(named name: PathComponent) -> Node? {
    state.withLock { state in
      guard let silence = state.silence, silence > .now else { return nil }
      return state.names[name]?.node
    }
  }

  /// The store has not answered: each try takes its time, so there is none for a while.
  func noteSilence(for duration: Duration) {
    state.withLock { $0.silence = .now + duration }
  }

  /// The store has answered.
  func noteAnswer() {
    state.withLock { $0.silence = nil }
  }

  /// How many names are remembered.
  var count: Int { state.withLock { $0.names.count } }
}
