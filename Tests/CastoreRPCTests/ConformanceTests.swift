import Castore
import CastoreRPC
import CastoreTestSupport
import Testing

extension NetworkTests {
  @Suite("Services over the wire keep their promises")
  struct ConformanceTests {
    @Test("blobs, over TCP and over a Unix socket", arguments: [0, 1])
    func blobs(address: Int) async throws {
      let services = ServedServices(blobs: MemoryBlobService())
      try await Loopback.serving(services) { loopback in
        let peer = try GRPCPeer(loopback.addresses[address])
        try await checkBlobService(GRPCBlobService(peer))
      }
    }

    @Test("directories, over TCP and over a Unix socket", arguments: [0, 1])
    func directories(address: Int) async throws {
      // A server for each of the suite's services, all of them until the suite is through.
      var servers: [Task<Void, any Error>] = []
      defer { for server in servers { server.cancel() } }
      try await checkDirectoryService(takesIncomplete: false) {
        let (started, signal) = AsyncStream.makeStream(of: PeerAddress.self)
        servers.append(
          Task {
            let services = ServedServices(directories: MemoryDirectoryService())
            try await Loopback.serving(services) { loopback in
              signal.yield(loopback.addresses[address])
              try await Task.sleep(for: .seconds(3600))
            }
          }
        )
        let found = await started.first { _ in true }
        return GRPCDirectoryService(try GRPCPeer(try #require(found)))
      }
    }
  }
}
