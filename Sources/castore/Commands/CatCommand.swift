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
  var paths: [StorePath]

  func run() async throws {
    let store = try store.open()
    for path in paths {
      guard case .file(let digest, let size, _) = try path.resolve(in: store) else {
        throw CommandError("'\(path.text)' is not a file")
      }
      try copy(digest, size, path, store)
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
