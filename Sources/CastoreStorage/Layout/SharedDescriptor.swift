internal import Castore
internal import Platform

/// An open file or folder that several objects share.
final class SharedDescriptor: Sendable {
  private let descriptor: OwnedDescriptor

  init(_ descriptor: consuming OwnedDescriptor) {
    self.descriptor = descriptor
  }

  /// The number; valid while this object lives.
  var number: CInt { descriptor.number }

  /// Opens the same folder once more, for an owner of its own.
  func reopened(path: String) throws(ServiceError) -> OwnedDescriptor {
    try StoreFolder.open(".", in: descriptor, path: path)
  }

  /// Lends the descriptor itself.
  func withOwned<Result: ~Copyable, Failure: Error>(
    _ body: (borrowing OwnedDescriptor) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(descriptor)
  }
}
