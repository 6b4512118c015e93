import GRPCNIOTransportHTTP2Posix
import NIOCore

extension HTTP2ServerTransport.Posix.Config {
  /// What was measured to be fast; the defaults are not (see `WireLimits`).
  static func tuned(_ options: ServerOptions) -> Self {
    .defaults { config in
      config.http2.targetWindowSize = WireLimits.window
      config.http2.maxFrameSize = WireLimits.frame
      config.http2.maxConcurrentStreams = WireLimits.streamsPerConnection
      // Otherwise every answer waits up to 100 µs for company.
      config.connection.flushCoalescing = nil
      // Clients may ask whether the server lives, also while no call is open.
      config.connection.keepalive.clientBehavior.allowWithoutCalls = true
      config.connection.keepalive.clientBehavior.minPingIntervalWithoutCalls = .seconds(10)
      config.connection.keepalive.time = .seconds(60)
      config.rpc.maxRequestPayloadSize = options.messageLimit
      let timeout = options.greetingTimeout
      config.channelDebuggingCallbacks.onAcceptTCPConnection = { channel in
        GreetingHandler.guarding(channel, timeout: timeout)
      }
    }
  }
}

extension HTTP2ServerTransport.Posix.TransportSecurity {
  /// TLS with what the files hold.
  static func files(_ tls: ServerOptions.TLS) -> Self {
    .tls(
      certificateChain: [.file(path: tls.certificates, format: .pem)],
      privateKey: .file(path: tls.privateKey, format: .pem)
    )
  }
}
