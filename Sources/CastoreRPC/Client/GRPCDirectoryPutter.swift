import Castore
import CastoreProtos
import GRPCCore
import Platform

/// A tree of directories on its way to a gRPC server.
///
/// The server checks the whole, and keeps nothing of one that breaks the rules.
actor GRPCDirectoryPutter: Castore.DirectoryPutter {
  private let peer: GRPCPeer
  private let upload: RequestStream<[UInt8]>
  private var sent: Set<B3Digest> = []
  private var result: Result<B3Digest, ServiceError>?

  init(_ peer: GRPCPeer, family: WireFamily) {
    self.peer = peer
    upload = RequestStream(
      peer,
      WireService.directories.method("Put", in: family),
      writing: DirectoryCodec(),
      reading: ProtobufCodec<ProtoPutDirectoryResponse>()
    ) { answer in
      try B3Digest(bytes: [UInt8](answer.rootDigest))
    }
  }

  func put(_ directory: Directory) async throws(ServiceError) {
    if let result {
      _ = try result.get()
      throw ServiceError(.invalidArgument, "the putter was closed before")
    }
    let bytes = directory.encoded()
    sent.insert(B3Digest(hashing: bytes))
    do {
      try await upload.send(bytes)
    } catch {
      let error = self.error(error)
      result = .failure(error)
      throw error
    }
  }

  func close() async throws(ServiceError) -> B3Digest {
    if let result { return try result.get() }
    let result: Result<B3Digest, ServiceError>
    do throws(ServiceError) { result = .success(try await finish()) } catch {
      result = .failure(error)
    }
    self.result = result
    return try result.get()
  }

  private func finish() async throws(ServiceError) -> B3Digest {
    guard !sent.isEmpty else {
      await upload.abandon()
      throw ServiceError(.invalidArgument, "a tree has at least one directory, got none")
    }
    let answer: B3Digest
    do {
      answer = try await upload.finish()
    } catch {
      throw self.error(error)
    }
    guard sent.contains(answer) else {
      throw ServiceError(
        .corrupt,
        "\(peer.name): sent \(sent.count) directories, the server names \(answer), which is none of them"
      )
    }
    return answer
  }

  private func error(_ failure: any Error) -> ServiceError {
    ServiceError(failure, action: "storing directories", peer: peer.name)
  }
}
