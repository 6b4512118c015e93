import Castore
import CastoreRPC
import CastoreTestSupport
import Foundation
import Glibc
import Platform
import Testing

extension NetworkTests {
  @Suite("Clients cannot take more than their part")
  struct LimitTests {
    private static func connect(_ port: UInt16) throws -> CInt {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
      let status = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          Glibc.connect(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      try #require(status == 0)
      return number
    }

    /// A certificate of one's own, and its key.
    private static func makeCertificate(in folder: String) throws -> ServerOptions.TLS {
      let tls = ServerOptions.TLS(
        certificates: folder + "/certificate.pem",
        privateKey: folder + "/key.pem"
      )
      let outcome = try Shell.run(
        "/usr/bin/openssl",
        [
          "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
          "-addext", "subjectAltName=DNS:localhost", "-keyout", tls.privateKey, "-out",
          tls.certificates,
        ]
      )
      try #require(outcome.code == 0)
      return tls
    }

    @Test(
      "connections that never say anything are closed, encrypted or not",
      .timeLimit(.minutes(5)),
      arguments: [false, true]
    )
    func silent(isEncrypted: Bool) async throws {
      let folder = try TestFolder()
      var options = ServerOptions()
      options.greetingTimeout = .milliseconds(700)
      if isEncrypted { options.tls = try Self.makeCertificate(in: folder.path) }
      let services = ServedServices(blobs: MemoryBlobService())
      try await Loopback.serving(services, options: options) { loopback in
        guard case .tcp(_, let port, _) = loopback.addresses[0] else { return }
        var peerOptions = PeerOptions()
        peerOptions.trustedCertificates = options.tls?.certificates
        let address = PeerAddress.tcp(host: "localhost", port: port, isEncrypted: isEncrypted)
        let service = GRPCBlobService(try GRPCPeer(address, options: peerOptions))
        #expect(try await !service.has(B3Digest(hashing: [1])))
        var silent: [CInt] = []
        defer { for number in silent { close(number) } }
        for index in 0..<200 {
          let number = try Self.connect(port)
          silent.append(number)
          // Some begin to say something.
          if index % 4 == 0 { _ = send(number, [0x16, 0x03], 2, CInt(MSG_NOSIGNAL)) }
        }
        let open = silent
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
          Thread.detachNewThread {
            for number in open {
              // Whatever the server says before it closes.
              var buffer = [UInt8](repeating: 0, count: 4096)
              while recv(number, &buffer, buffer.count, 0) > 0 {}
            }
            done.resume()
          }
        }
        // One that has said something stays, however long it is quiet.
        #expect(try await !service.has(B3Digest(hashing: [2])))
      }
    }

    @Test("of ten large trees at once, few are in memory, and all arrive")
    func manyTrees() async throws {
      var options = ServerOptions()
      options.directoryLimits.largeTree = 64 << 10
      options.directoryLimits.largeTrees = 2
      options.directoryLimits.patience = .seconds(240)
      let directories = WeighingDirectories()
      let trees = (0..<10).map { number in
        // A leaf of some 100 KiB each, all below one root.
        (0..<10).map { leaf in
          (0..<1000).map { entry in
            NamedNode(
              name: PathComponent(stringLiteral: "f\(10_000 + entry)"),
              node: .symlink(
                target: SymlinkTarget(
                  stringLiteral: "\(number)-\(leaf)-" + String(repeating: "x", count: 80)
                )
              )
            )
          }
        }
      }
      try await Loopback.serving(ServedServices(directories: directories), options: options) {
        loopback in
        try await withThrowingTaskGroup(of: Void.self) { group in
          for tree in trees {
            let peer = try GRPCPeer(loopback.addresses[1])
            group.addTask {
              let putter = try await GRPCDirectoryService(peer).putMultiple()
              var children: [NamedNode] = []
              for (index, entries) in tree.enumerated() {
                let leaf = try Directory(entries)
                try await putter.put(leaf)
                children.append(
                  NamedNode(name: PathComponent(stringLiteral: "d\(index)"), node: leaf.node())
                )
              }
              try await putter.put(try Directory(children))
              _ = try await putter.close()
            }
          }
          try await group.waitForAll()
        }
      }
      let (stored, most) = directories.weights
      #expect(stored > 9 << 20)
      // Two that are large, and what the others may have before they are.
      #expect(most <= 2 * stored / 10 + 10 * (64 << 10))
    }

    @Test("of an address that stands for two, both are served or none")
    func halfTaken() throws {
      let taken = try CastoreServer(
        ServedServices(blobs: MemoryBlobService()),
        on: [.tcp(host: "127.0.0.1", port: 0)]
      )
      let port = try #require(UInt16(taken.addresses[0].split(separator: ":").last ?? ""))
      let error = #expect(throws: ServiceError.self) {
        try CastoreServer(
          ServedServices(blobs: MemoryBlobService()),
          on: [.tcp(host: "localhost", port: port)]
        )
      }
      #expect(error?.message.contains("127.0.0.1") == true)
    }
  }
}

/// Counts the bytes of the trees that are being put.
private final class WeighingDirectories: DirectoryService {
  private let state = Guarded((stored: 0, held: 0, most: 0))

  /// How many bytes were stored, and how many were held at the most.
  var weights: (stored: Int, most: Int) { state.withLock { ($0.stored, $0.most) } }

  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? { nil }

  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest { directory.digest }

  func putMultiple() async throws(ServiceError) -> any DirectoryPutter { Putter(state: state) }

  private actor Putter: DirectoryPutter {
    private let state: Guarded<(stored: Int, held: Int, most: Int)>
    private var weight = 0
    private var last: B3Digest?

    init(state: Guarded<(stored: Int, held: Int, most: Int)>) { self.state = state }

    func put(_ directory: Directory) async throws(ServiceError) {
      let count = directory.encoded().count
      weight += count
      last = directory.digest
      state.withLock { state in
        state.held += count
        state.most = max(state.most, state.held)
      }
    }

    func close() async throws(ServiceError) -> B3Digest {
      state.withLock { state in
        state.held -= weight
        state.stored += weight
      }
      guard let last else { throw ServiceError(.invalidArgument, "nothing was put") }
      return last
    }
  }
}
