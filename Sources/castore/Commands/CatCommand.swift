import ArgumentParser
import Castore
import CastoreStorage

struct CatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cat",
    abstract: "Write files of the store to standard output."
  )

  @OptionGroup var store: StoreOptions

  @Argument(help: "ROOT/PATH of each file.")
  var paths: [Arguments<StorePath>]

  func run() async throws {
    let services = try await store.openServices()
    for path in paths.flatMap(\.values) {
      guard case .file(let digest, let size, _) = try await path.resolve(in: services) else {
        throw CommandError("'\(path.text)' is not a file")
      }
      if let local = services.local {
        try copy(digest, size, path, local)
      } else {
        try await copy(digest, size, path, services)
      }
    }
    await services.settle()
  }

  private func copy(
    _ digest: B3Digest,
    _ size: UInt64,
    _ path: StorePath,
    _ services: Services
  ) async throws {
    guard let reader = try await services.blobs.openRead(digest) else {
      throw CommandError("blob \(digest) of '\(path.text)' is missing in \(services.name)")
    }
    var offset: UInt64 = 0
    while offset < size {
      let bytes = try await reader.read(at: offset, count: 1 << 20)
      guard !bytes.isEmpty else {
        throw CommandError(
          "blob \(digest) of '\(path.text)' ends after \(offset) of \(size) bytes"
        )
      }
      try Output.write(bytes)
      offset += UInt64(bytes.count)
    }
  }

  private func copy(
    _ digest: B3Digest,
    _ size: UInt64,
    _ path: StorePath,
    _ store: LocalStore
  ) throws {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    defer { memory.deallocate() }
    var offset: UInt64 = 0
    while offset < size {
      guard let count = try store.readLocal(digest, at: offset, into: memory) else {
        throw CommandError("blob \(digest) of '\(path.text)' is missing in \(store.path)")
      }
      guard count > 0 else {
        throw CommandError(
          "blob \(digest) of '\(path.text)' ends after \(offset) of \(size) bytes"
        )
      }
      try Output.write(UnsafeRawBufferPointer(rebasing: memory[..<count]))
      offset += UInt64(count)
    }
  }
}
