import Platform

/// Runs a test that blocks on a thread of its own: the cooperative pool has few, and the file systems under
/// test need them.
func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
  let outcome = Latch<Result<Void, any Error>>()
  _ = try NativeThread(name: "test") { outcome.set(Result { try body() }) }
  try await outcome.get().get()
}
