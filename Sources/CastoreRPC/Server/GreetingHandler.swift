import NIOCore
import NIOHTTP2

/// Closes a connection whose client has said nothing after a time: neither an encrypted nor a plain hello.
///
/// Stands behind the HTTP/2 handler, and goes when the first frame of the client comes through it.
final class GreetingHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTP2Frame

  private let timeout: TimeAmount
  private var deadline: Scheduled<Void>?

  private init(timeout: Duration) {
    self.timeout = TimeAmount(timeout)
  }

  /// Guards a connection that was just accepted.
  static func guarding(
    _ channel: any Channel,
    timeout: Duration
  ) -> EventLoopFuture<Void> {
    channel.eventLoop.makeCompletedFuture {
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(
        GreetingHandler(timeout: timeout),
        position: .after(try pipeline.handler(type: NIOHTTP2Handler.self))
      )
    }
  }

  func handlerAdded(context: ChannelHandlerContext) {
    let channel = context.channel
    deadline = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    deadline?.cancel()
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    deadline?.cancel()
    context.fireChannelRead(data)
    context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
  }
}
