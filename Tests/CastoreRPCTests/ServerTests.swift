import Castore
import CastoreComposition
import CastoreRPC
import Foundation
import Testing

extension NetworkTests {
  @Suite("A server")
  struct ServerTests {
    @Test(
      "addresses to listen on",
      arguments: [
        ("localhost:80", ListenAddress.tcp(host: "localhost", port: 80)),
        ("[::1]:0", .tcp(host: "::1", port: 0)), (":8000", .tcp(host: "", port: 8000)),
        ("*:1", .tcp(host: "", port: 1)), ("unix:/a b", .unix(path: "/a b")),
        ("unix:///a", .unix(path: "/a")), ("/a/b", .unix(path: "/a/b")),
        ("./a", .unix(path: "./a")), ("sd-listen", .inherited(name: nil)),
        ("sd-listen:x", .inherited(name: "x")), ("", nil), ("8000", nil), ("a:", nil),
        ("a:99999", nil), ("a:-1", nil), ("::1:80", nil), ("[::1]", nil), ("[x]:1", nil),
        ("unix:", nil), ("sd-listen:", nil),
      ]
    )
    func addresses(text: String, expected: ListenAddress?) throws {
      if let expected {
        #expect(try ListenAddress(text) == expected)
      } else {
        #expect(throws: ServiceError.self) { try ListenAddress(text) }
      }
    }

    @Test("sockets that systemd hands over")
    func inherited() throws {
      func sockets(_ environment: [String: String]) throws -> InheritedSockets {
        try InheritedSockets(environment: { environment[$0] }, process: 42)
      }
      #expect(try sockets([:]).sockets.isEmpty)
      #expect(try sockets(["LISTEN_PID": "41", "LISTEN_FDS": "1"]).sockets.isEmpty)
      let two = try sockets(["LISTEN_PID": "42", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"])
      #expect(two.sockets.map(\.descriptor) == [3, 4])
      #expect(try two.named("b").map(\.descriptor) == [4])
      #expect(try two.named(nil).count == 2)
      #expect(throws: ServiceError.self) { try two.named("c") }
      #expect(throws: ServiceError.self) { try sockets(["LISTEN_PID": "42", "LISTEN_FDS": "x"]) }
      #expect(throws: ServiceError.self) { try sockets(["LISTEN_PID": "42", "LISTEN_FDS": "-1"]) }
    }

    @Test("an address that is in use is an error, and nothing stays open")
    func inUse() async throws {
      let services = ServedServices(blobs: MemoryBlobService())
      try await Loopback.serving(services) { loopback in
        for address in loopback.server.addresses {
          #expect(throws: ServiceError.self) {
            try CastoreServer(services, on: [ListenAddress(address)])
          }
        }
      }
      let path = NSTemporaryDirectory() + "castore-\(UUID().uuidString)"
      try Data("mine".utf8).write(to: URL(filePath: path))
      defer { try? FileManager.default.removeItem(atPath: path) }
      #expect(throws: ServiceError.self) { try CastoreServer(services, on: [.unix(path: path)]) }
      #expect(try Data(contentsOf: URL(filePath: path)) == Data("mine".utf8))
      let long = "/tmp/" + String(repeating: "x", count: 104)
      #expect(throws: ServiceError.self) { try CastoreServer(services, on: [.unix(path: long)]) }
      #expect(throws: ServiceError.self) { try CastoreServer(services, on: []) }
    }

    @Test("shutting down lets a running stream end, and takes no more calls")
    func graceful() async throws {
      let blobs = PatternBlobService(size: 24 << 20)
      let path = NSTemporaryDirectory() + "castore-\(UUID().uuidString).sock"
      let server = try CastoreServer(ServedServices(blobs: blobs), on: [.unix(path: path)])
      let running = Task { try await server.run() }
      let service = GRPCBlobService(try GRPCPeer(.unix(path: path)))
      let reader = try #require(try await service.openRead(blobs.digest))
      server.shutDown(within: .seconds(60))
      let end = try await reader.read(at: blobs.size - 10, count: 10)
      #expect(end == PatternBlobService.bytes(at: blobs.size - 10, count: 10))
      try await running.value
      #expect(!FileManager.default.fileExists(atPath: path))
      let late = GRPCBlobService(try GRPCPeer(.unix(path: path), options: .impatient))
      await #expect(throws: ServiceError.self) { try await late.has(blobs.digest) }
    }

    @Test("a server that drains leaves its path to the next, whose socket it does not remove")
    func successor() async throws {
      let blobs = PatternBlobService(size: 24 << 20)
      let path = NSTemporaryDirectory() + "castore-\(UUID().uuidString).sock"
      let first = try CastoreServer(ServedServices(blobs: blobs), on: [.unix(path: path)])
      let running = Task { try await first.run() }
      let service = GRPCBlobService(try GRPCPeer(.unix(path: path)))
      let reader = try #require(try await service.openRead(blobs.digest))
      first.shutDown(within: .seconds(600))
      while FileManager.default.fileExists(atPath: path) {
        try await Task.sleep(for: .milliseconds(1))
      }
      let second = try CastoreServer(ServedServices(blobs: blobs), on: [.unix(path: path)])
      let next = Task { try await second.run() }
      // Ends the call for which the first was waiting.
      _ = try await reader.read(at: blobs.size - 10, count: 10)
      try await running.value
      let late = GRPCBlobService(try GRPCPeer(.unix(path: path)))
      #expect(try await late.has(blobs.digest))
      second.shutDown(within: .zero)
      try await next.value
      #expect(!FileManager.default.fileExists(atPath: path))
      #expect(!FileManager.default.fileExists(atPath: path + ".lock"))
    }

    @Test("a deadline ends what does not end by itself")
    func deadline() async throws {
      let blobs = PatternBlobService(size: 24 << 20)
      let path = NSTemporaryDirectory() + "castore-\(UUID().uuidString).sock"
      let server = try CastoreServer(ServedServices(blobs: blobs), on: [.unix(path: path)])
      let running = Task { try await server.run() }
      let service = GRPCBlobService(try GRPCPeer(.unix(path: path), options: .impatient))
      let reader = try #require(try await service.openRead(blobs.digest))
      server.shutDown(within: .milliseconds(100))
      try await running.value
      await #expect(throws: ServiceError.self) {
        try await reader.read(at: blobs.size - 10, count: 10)
      }
    }

    @Test("TLS by certificate and key files")
    func tls() async throws {
      let folder = URL(filePath: NSTemporaryDirectory()).appending(path: UUID().uuidString)
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let (key, certificate) = (
        folder.appending(path: "key"), folder.appending(path: "certificate")
      )
      let openssl = Process()
      openssl.executableURL = URL(filePath: "/usr/bin/openssl")
      openssl.arguments =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
        .split(separator: " ").map(String.init) + [
          "-addext", "subjectAltName=DNS:localhost", "-keyout", key.path, "-out", certificate.path,
        ]
      openssl.standardError = Pipe()
      try openssl.run()
      openssl.waitUntilExit()
      #expect(openssl.terminationStatus == 0)

      var options = ServerOptions()
      options.tls = .init(certificates: certificate.path, privateKey: key.path)
      let blobs = MemoryBlobService()
      let digest = blobs.insert([1, 2, 3])
      try await Loopback.serving(ServedServices(blobs: blobs), options: options) { loopback in
        guard case .tcp(_, let port, true) = loopback.addresses[0] else {
          Issue.record("not encrypted")
          return
        }
        var trusting = PeerOptions.impatient
        trusting.answerTimeout = .seconds(10)
        trusting.trustedCertificates = certificate.path
        let named = PeerAddress.tcp(host: "localhost", port: port, isEncrypted: true)
        #expect(try await GRPCBlobService(GRPCPeer(named, options: trusting)).has(digest))
        // The Unix socket is not encrypted.
        let local = try GRPCPeer(loopback.addresses[1])
        #expect(try await GRPCBlobService(local).has(digest))
        // A certificate that nobody vouches for, and no encryption at all.
        let refused: [PeerAddress] = [
          named, .tcp(host: "localhost", port: port, isEncrypted: false),
        ]
        for address in refused {
          let peer = try GRPCPeer(address, options: .impatient)
          await #expect(throws: ServiceError.self) { try await GRPCBlobService(peer).has(digest) }
        }
      }
    }

    @Test("URLs of servers")
    func urls() async throws {
      for (text, expected) in [
        ("grpc+http://[::1]:12345", "grpc+http://[::1]:12345"),
        ("grpc+http://localhost", "grpc+http://localhost:80"),
        ("grpc+https://localhost", "grpc+https://localhost:443"),
        ("grpc+unix:///path/to/x?wait-connect=0", "grpc+unix:///path/to/x"),
      ] {
        #expect(try PeerAddress(ServiceURL(text)).description == expected)
      }
      for text in [
        "grpc+unix://host.example/path", "grpc+unix:///", "grpc+unix:", "grpc+http://",
        "grpc+http://localhost/some-path", "grpc+http:localhost", "grpc+http:///x",
      ] {
        #expect(throws: ServiceError.self, "\(text)") { try PeerAddress(ServiceURL(text)) }
      }
      var registry = ServiceRegistry.standard
      GRPCServices(options: .impatient).register(in: &registry)
      let lazy = try await registry.open("grpc+unix:///nowhere")
      #expect(lazy.blobs != nil && lazy.directories != nil)
      for text in ["grpc+unix:///nowhere?wait-connect=1", "grpc+unix:///x?nonsense=1"] {
        await #expect(throws: ServiceError.self) { try await registry.open(text) }
      }
    }

    @Test("a composition of a near and a far store")
    func composition() async throws {
      let blobs = MemoryBlobService()
      let directories = MemoryDirectoryService()
      let digest = blobs.insert([1, 2, 3])
      let services = ServedServices(blobs: blobs, directories: directories)
      try await Loopback.serving(services) { loopback in
        var registry = ServiceRegistry.standard
        GRPCServices().register(in: &registry)
        let file = try CompositionFile(
          toml: """
            [blobservices.root]
            type = "cache"
            near = "memory:"
            far = "far"
            [blobservices.far]
            type = "grpc"
            url = "\(loopback.addresses[1])"
            [directoryservices.root]
            type = "grpc"
            url = "\(loopback.addresses[0])"
            """,
          name: "test.toml"
        )
        let opened = try await Composition(file, registry: registry).entry()
        let reader = try #require(try await opened.blobs?.openRead(digest))
        #expect(try await reader.read(at: 1, count: 9) == [2, 3])
        #expect(try await opened.directories?.put(Directory()) == Directory().digest)
        #expect(try await directories.get(Directory().digest) == Directory())
      }
    }
  }
}
