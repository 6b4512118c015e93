internal import CBLAKE3

extension BLAKE3 {
  /// Which instructions the kernels use. The digests are the same with any of them.
  package enum Level: CInt, CaseIterable, Sendable {
    case base = 0
    case avx2 = 1
    case avx512 = 2

    /// The levels that this machine can run.
    package static var supported: [Level] {
      allCases.filter { $0.rawValue <= cblake3_best_level() }
    }

    /// Makes the whole process use one level, or with `nil` the best: for tests and benchmarks.
    ///
    /// - Returns: False if the machine cannot; nothing has changed then.
    @discardableResult
    package static func force(_ level: Level?) -> Bool {
      cblake3_force_level(level?.rawValue ?? -1) != 0
    }
  }
}
