internal import Castore
internal import Platform

/// The roots that were ever looked up, numbered: what a file handle leads back to.
///
/// A name that is re-pointed gets one more number, and the old one goes on standing for the old content. Some
/// 80 bytes for each, for as long as the file system lives; nothing for what is below. Safe from any
/// thread.
final class RootPlaces: Sendable {
  /// A root as it was when it was looked up.
  struct Root: Sendable {
    /// The hash of its name, as in the key of its node.
    var name: UInt64
    var child: Child
    /// For a link, its bytes.
    var target: [UInt8]
  }

  // Targets are apart, so that those without one take no room for it.
  private struct Slot {
    var name: UInt64
    var child: Child
  }

  private struct State {
    var slots: [Slot] = []
    var numbers: [UInt64: UInt32] = [:]
    var targets: [UInt32: [UInt8]] = [:]
  }

  private let state = Guarded(State())

  /// The place of a root, the same for equal ones.
  ///
  /// - Returns: `nil` where all numbers are taken.
  func place(_ root: Root) -> NodePlace? {
    state.withLock { state in
      let hash =
        NodeKey.placed(.directory, root.child.digest, parent: root.child.size, position: root.name)
        .hash &+ UInt64(root.child.kind.rawValue)
      if let number = state.numbers[hash] {
        let known = state.slots[Int(number) - 1]
        return known.name == root.name && known.child == root.child ? NodePlace(root: number) : nil
      }
      guard state.slots.count < Int(NodePlace.rootLimit) - 1 else { return nil }
      state.slots.append(Slot(name: root.name, child: root.child))
      // Fits: below the limit.
      let number = UInt32(state.slots.count)
      state.numbers[hash] = number
      if !root.target.isEmpty { state.targets[number] = root.target }
      return NodePlace(root: number)
    }
  }

  /// The root of a number; `nil` for one that was never given.
  func root(_ number: UInt32) -> Root? {
    state.withLock { state in
      guard number > 0, number <= UInt32(state.slots.count) else { return nil }
      let slot = state.slots[Int(number) - 1]
      return Root(name: slot.name, child: slot.child, target: state.targets[number] ?? [])
    }
  }
}
