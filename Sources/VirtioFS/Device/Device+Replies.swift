internal import Glibc
internal import Platform

/// Answering messages.
extension Device {
  func reply<Payload: BitwiseCopyable>(
    _ request: VhostUserRequest,
    _ payload: Payload,
    descriptor: CInt? = nil
  ) throws(Failure) {
    do throws(FrontEndConnection.Interruption) {
      try connection.reply(to: request.rawValue, payload, descriptor: descriptor)
    } catch {
      throw .interruption(error)
    }
  }

  func reply(_ request: VhostUserRequest, bytes: [UInt8]) throws(Failure) {
    do throws(FrontEndConnection.Interruption) {
      try connection.reply(to: request.rawValue, bytes: bytes)
    } catch {
      throw .interruption(error)
    }
  }

  /// Runs something that checks what the front end said.
  func checked<Result>(
    _ body: () throws(FrontEndFault) -> Result
  ) throws(Failure) -> Result {
    do throws(FrontEndFault) {
      return try body()
    } catch {
      throw .fault(error)
    }
  }
}
