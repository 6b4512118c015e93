import Castore
import CastoreRPC
import CastoreTestSupport
import Foundation
import NixStore
import NixTestSupport
import Platform
import Testing

extension NetworkTests {
  @Suite("Whoever gives up is let go")
  struct CancellationTests {
    private static let tree: [Directory] = {
      var directories = [Directory(fixture: [:])]
      for number in 0..<200 {
        let child = directories[directories.count - 1].node()
        directories.append(
          Directory(fixture: [
            "child": child, PathComponent(stringLiteral: "n\(number)"): .symlink(target: "x"),
          ])
        )
      }
      return directories
    }()

    private enum Call: CaseIterable {
      case longBlob, shortBlob, directories, readBlob, chunks, walk, putPathInfo, listPathInfos
      case calculate, listRoots
    }

    private static func make(
      _ call: Call,
      _ peer: GRPCPeer,
      _ big: PatternBlobService
    ) async throws {
      switch call {
      case .longBlob, .shortBlob:
        let writer = try await GRPCBlobService(peer).openWrite()
        let piece = [UInt8](repeating: 1, count: call == .longBlob ? 1 << 20 : 1000)
        for _ in 0..<(call == .longBlob ? 20 : 1) { try await writer.write(piece) }
        _ = try await writer.close()
      case .directories:
        let putter = try await GRPCDirectoryService(peer).putMultiple()
        for directory in tree { try await putter.put(directory) }
        _ = try await putter.close()
      case .readBlob:
        let reader = try await GRPCBlobService(peer).openRead(big.digest)
        for offset in stride(from: 0, to: big.size, by: 1 << 20) {
          _ = try await reader?.read(at: offset, count: 1 << 20)
        }
      case .chunks: _ = try await GRPCBlobService(peer).chunks(of: big.digest)
      case .walk:
        for try await _ in GRPCDirectoryService(peer).getRecursive(tree[tree.count - 1].digest) {}
      case .putPathInfo: _ = try await GRPCPathInfoService(peer).put(PathInfoFixtures.symlink)
      case .listPathInfos: for try await _ in GRPCPathInfoService(peer).list() {}
      case .calculate:
        _ = try await GRPCPathInfoService(peer).calculateNAR(of: PathInfoFixtures.symlink.node)
      case .listRoots: for try await _ in GRPCRootNodes(peer).list() {}
      }
    }

    @Test("at a random moment of each kind of call", .timeLimit(.minutes(5)))
    func random() async throws {
      let seed = UInt64.random(in: 0 ... .max)
      print("seed \(seed)")
      var random = SeededGenerator(seed: seed)
      let big = PatternBlobService(size: 12 << 20)
      let directories = MemoryDirectoryService()
      for directory in Self.tree { directories.insert(directory) }
      let services = ServedServices(
        blobs: big,
        directories: directories,
        roots: MemoryRootNodes(),
        pathInfos: MemoryPathInfoService()
      )
      try await Loopback.serving(services) { loopback in
        let peer = try GRPCPeer(loopback.addresses[1])
        for _ in 0..<12 {
          for call in Call.allCases {
            let task = Task.detached { try await Self.make(call, peer, big) }
            try await Task.sleep(for: .microseconds(Int.random(in: 0..<30_000, using: &random)))
            task.cancel()
            _ = await task.result
          }
        }
        // Nothing is left behind that would keep others waiting.
        for call in [Call.longBlob, .directories, .readBlob] {
          try await Self.make(call, peer, big)
        }
      }
    }

    @Test("while the server takes nothing at all", .timeLimit(.minutes(5)))
    func stalled() async throws {
      let services = ServedServices(
        blobs: StuckServices(),
        directories: StuckServices()
      )
      try await Loopback.serving(services) { loopback in
        for isBlob in [true, false] {
          let peer = try GRPCPeer(loopback.addresses[0])
          let sent = Guarded(0)
          let task = Task.detached {
            if isBlob {
              let writer = try await GRPCBlobService(peer).openWrite()
              for _ in 0..<64 {
                try await writer.write([UInt8](repeating: 1, count: 1 << 20))
                sent.withLock { $0 += 1 }
              }
              _ = try await writer.close()
            } else {
              let putter = try await GRPCDirectoryService(peer).putMultiple()
              for directory in Self.tree.cycled(1000) {
                try await putter.put(directory)
                sent.withLock { $0 += 1 }
              }
              _ = try await putter.close()
            }
          }
          while sent.withLock({ $0 }) < 3 { try await Task.sleep(for: .milliseconds(5)) }
          // By now the sender waits, most likely for room.
          try await Task.sleep(for: .milliseconds(200))
          task.cancel()
          await #expect(throws: ServiceError.self) { try await task.value }
        }
      }
    }
  }
}

extension Array {
  fileprivate func cycled(_ count: Int) -> [Element] {
    (0..<count).map { self[$0 % self.count] }
  }
}

/// Opens for writing, and never comes to it.
private struct StuckServices: BlobService, DirectoryService {
  private func wait() async throws(ServiceError) -> Never {
    while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    throw ServiceError(.cancelled, "given up")
  }

  func has(_ digest: B3Digest) async throws(ServiceError) -> Bool { false }
  func openRead(_ digest: B3Digest) async throws(ServiceError) -> (any BlobReader)? { nil }
  func openWrite() async throws(ServiceError) -> any BlobWriter { try await wait() }
  func chunks(of digest: B3Digest) async throws(ServiceError) -> [ChunkMeta]? { nil }
  func get(_ digest: B3Digest) async throws(ServiceError) -> Directory? { nil }
  func put(_ directory: Directory) async throws(ServiceError) -> B3Digest { try await wait() }
  func putMultiple() async throws(ServiceError) -> any DirectoryPutter { try await wait() }
}
