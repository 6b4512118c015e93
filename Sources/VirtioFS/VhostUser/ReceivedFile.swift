internal import Platform

/// A descriptor that came with a message. Closed when nobody holds it any more, unless it was taken.
final class ReceivedFile {
  private var descriptor: OwnedDescriptor?

  init(adopting number: CInt) {
    descriptor = OwnedDescriptor(adopting: number)
  }

  /// Hands the descriptor over.
  ///
  /// - Throws: If that has happened before.
  func take() throws(FrontEndFault) -> OwnedDescriptor {
    guard let taken = descriptor.take() else {
      throw FrontEndFault("a descriptor was used twice")
    }
    return taken
  }
}
