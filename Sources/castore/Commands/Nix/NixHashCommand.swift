import ArgumentParser
import Castore
import CastoreStorage
import NixCompat
import NixStore

struct NixHashCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hash",
    abstract: "Print the hash of a stored tree's NAR, as nix-hash does for trees on the disk."
  )

  @OptionGroup var store: StoreOptions

  @Option(help: "The hash function: md5, sha1, sha256 or sha512.")
  var type = HashType.sha256

  @Option(help: "The encoding: sri, base16, base32 or base64.")
  var format = HashFormat.sri

  @Flag(help: "Hash the contents of a file instead of its NAR.")
  var flat = false

  @Argument(help: "ROOT, ROOT/PATH or store paths.")
  var paths: [Arguments<StorePath>]

  func run() async throws {
    let services = try await store.openServices()
    for path in paths.flatMap(\.values) {
      let node = try await path.resolve(in: services)
      if flat && node.kind != .file {
        throw CommandError("'\(path.text)' is not a file, so it has no flat hash")
      }
      let hash =
        if let store = services.local {
          try hash(of: node, in: store)
        } else {
          try await hash(of: node, in: services)
        }
      try Output.line(format.text(of: hash))
    }
    await services.settle()
  }

  private func hash(of node: Node, in store: LocalStore) throws -> NixHash {
    let renderer = NARRenderer(blobs: store, directories: store)
    var sink = NixHashSink(type.algorithm)
    if flat, case .file(let digest, let size, _) = node {
      try renderer.copyBlob(digest, size: size, to: &sink)
    } else {
      try renderer.render(node, to: &sink)
    }
    return sink.hasher.finalize()
  }

  private func hash(of node: Node, in services: Services) async throws -> NixHash {
    var hasher = NixHasher(type.algorithm)
    if flat, case .file(let digest, _, _) = node {
      guard let blob = try await services.blobs.openRead(digest) else {
        throw CommandError("blob \(digest) is missing in \(services.name)")
      }
      var offset: UInt64 = 0
      while case let bytes = try await blob.read(at: offset, count: 1 << 20), !bytes.isEmpty {
        hasher.update(bytes)
        offset += UInt64(bytes.count)
      }
    } else {
      try await services.renderNAR(node) { bytes in hasher.update(bytes) }
    }
    return hasher.finalize()
  }
}

/// The hash functions on the command line.
enum HashType: String, ExpressibleByArgument, CaseIterable {
  case md5, sha1, sha256, sha512

  var algorithm: HashAlgorithm {
    switch self {
    case .md5: .md5
    case .sha1: .sha1
    case .sha256: .sha256
    case .sha512: .sha512
    }
  }
}

/// The encodings of hashes on the command line.
enum HashFormat: String, ExpressibleByArgument, CaseIterable {
  case sri, base16, base32, base64

  func text(of hash: NixHash) -> String {
    switch self {
    case .sri: hash.sri
    case .base16: hash.hexadecimal
    case .base32: hash.nixBase32
    case .base64: hash.base64
    }
  }
}
