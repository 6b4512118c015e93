import GRPCCore
import Platform

/// Which of the two names a server knows a service by; found out with the first call.
final class FamilyChoice: Sendable {
  private let known = Guarded<WireFamily?>(nil)
  private let turn = AsyncLock()
  private let probe: @Sendable (WireFamily) async throws -> Void

  /// Prepares the question.
  ///
  /// - Parameter probe: Makes some cheap call under the names of a family.
  init(probe: @escaping @Sendable (WireFamily) async throws -> Void) {
    self.probe = probe
  }

  /// The family; throws where the server cannot be reached.
  var family: WireFamily {
    get async throws {
      if let family = known.withLock({ $0 }) { return family }
      // Thousands may want to know at once; one asks.
      return try await turn.withLock { try await ask() }
    }
  }

  private func ask() async throws -> WireFamily {
    if let family = known.withLock({ $0 }) { return family }
    for family in WireFamily.allCases {
      do {
        try await probe(family)
      } catch let error as RPCError {
        switch error.code {
        case .unimplemented: continue
        case .unavailable, .deadlineExceeded, .cancelled: throw error
        // Our question was refused by somebody who understood it.
        default: break
        }
      }
      known.withLock { $0 = family }
      return family
    }
    throw RPCError(code: .unimplemented, message: "the server does not offer this service")
  }
}
