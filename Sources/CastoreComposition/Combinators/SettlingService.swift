/// A service that goes on keeping what was read through it after the reader has it.
public protocol SettlingService: Sendable {
  /// Waits until everything is kept, or could not be.
  func settle() async
}

extension CachingBlobService: SettlingService {}
extension CachingDirectoryService: SettlingService {}
