import Castore
import CastoreStorage
import CastoreTestSupport
import FileTree
import Foundation
import Platform
import Testing

@Suite("Trees that cannot be imported")
struct ImportFailureTests {
  let shop: Workshop

  init() throws { shop = try Workshop() }

  @Test("fifos, sockets and devices are an error that names the path, or are skipped with a word")
  func special() throws {
    let tree = try shop.makeFolder("t")
    try shop.write("1", to: "\(tree)/file")
    #expect(mkfifo("\(tree)/pipe", 0o600) == 0)
    #expect(mknod("\(tree)/null", S_IFCHR | 0o666, makeDevice(1, 3)) == 0)
    let error = serviceError { _ = try shop.importTree(tree) }
    #expect(error?.code == .invalidArgument)
    #expect(
      error?.message.contains("\(tree)/pipe") == true
        || error?.message.contains("\(tree)/null") == true
    )
    #expect(try shop.store.statistics().directories == 0)

    var options = TreeImporter.Options()
    options.skipsSpecialFiles = true
    let skipped = Guarded<[String]>([])
    let result = try shop.importTree(
      tree,
      options: options,
      onSkip: { path, _ in skipped.withLock { $0.append(path) } }
    )
    #expect(result.statistics.skipped == 2)
    #expect(result.statistics.files == 1)
    #expect(skipped.withLock { $0.sorted() } == ["\(tree)/null", "\(tree)/pipe"])
    #expect(serviceError { _ = try shop.importTree("\(tree)/pipe") }?.code == .invalidArgument)
  }

  private func makeDevice(_ major: UInt64, _ minor: UInt64) -> dev_t { dev_t(major << 8 | minor) }

  @Test("a missing path is an error that names it")
  func missing() throws {
    let error = serviceError { _ = try shop.importTree(shop.sub("none")) }
    #expect(error?.code == .notFound)
    #expect(error?.message.contains(shop.sub("none")) == true)
    #expect(serviceError { _ = try shop.importTree("") }?.code == .invalidArgument)
  }

  @Test("an unreadable file or folder is an error that names it, and nothing is recorded")
  func unreadable() throws {
    let folder = try TestFolder(open: true)
    let torture = folder.sub("torture")
    try FileManager.default.copyItem(atPath: Shell.built("store-torture"), toPath: torture)
    let script = """
      mkdir -p "$1/t/a/b" "$1/u/closed" "$1/w"; chmod 777 "$1/w"
      echo 1 > "$1/t/open"; echo 2 > "$1/t/a/b/secret"; chmod 600 "$1/t/a/b/secret"
      chmod 700 "$1/u/closed"
      """
    #expect(try Shell.script(script, folder.path).code == 0)
    for (tree, name) in [("t", "a/b/secret"), ("u", "closed")] {
      let outcome = try Shell.run(
        torture,
        ["as=65534", "import", folder.sub("w/s"), folder.sub(tree), "r"]
      )
      #expect(outcome.code == 1)
      #expect(outcome.output.hasPrefix("permissionDenied"))
      #expect(outcome.output.contains(folder.sub("\(tree)/\(name)")), "\(outcome.output)")
    }
    #expect(try LocalStore(path: folder.sub("w/s")).statistics().roots == 0)
  }

  /// A sink during whose reading the file changes.
  private struct MeddlingSink: TreeSink {
    let inMemoryLimit = 0
    let meddle: @Sendable () -> Void

    func putBlob(_ bytes: UnsafeRawBufferPointer) throws(ServiceError) -> B3Digest {
      B3Digest(hashing: bytes)
    }

    func putBlob(
      from file: borrowing OwnedDescriptor,
      progress: (Int) -> Void
    ) throws(ServiceError) -> (digest: B3Digest, size: UInt64) {
      meddle()
      return (B3Digest(hashing: [1]), 4)
    }

    func putDirectory(_ directory: Directory) throws(ServiceError) -> B3Digest {
      directory.digest
    }

    func flush() throws(ServiceError) {}
  }

  @Test(
    "a file that changes while it is read is refused by name",
    arguments: ["abcd", "abcde", "abc", "wxyz"]
  )
  func changing(_ text: String) throws {
    let tree = try shop.makeFolder("t")
    let path = "\(tree)/file"
    try shop.write("abcd", to: path)
    let sink = MeddlingSink {
      // In place, as an editor would not do but a logger does.
      let file = open(path, O_WRONLY | O_TRUNC)
      _ = text.utf8CString.withUnsafeBytes { write(file, $0.baseAddress, text.utf8.count) }
      close(file)
    }
    let error = serviceError { _ = try TreeImporter(into: sink).run(tree) }
    #expect(error?.message.contains("\(path) changed while it was read") == true)
  }

  @Test("a file that keeps growing is refused, or went in as it was at one moment")
  func growing() throws {
    let tree = try shop.makeFolder("t")
    let path = "\(tree)/log"
    try Data(count: 4 << 20).write(to: URL(fileURLWithPath: path))
    let isDone = Guarded(false)
    let ended = Monitor(false)
    let thread = try JoinableThread {
      let file = open(path, O_WRONLY | O_APPEND)
      while !isDone.withLock({ $0 }) { _ = write(file, "x", 1) }
      close(file)
      ended.withLock { $0 = true }
    }
    var refused = 0
    for _ in 0..<20 where refused == 0 {
      let error = serviceError { _ = try shop.importTree(tree) }
      if let error {
        #expect(error.message.contains(path))
        refused += 1
      }
    }
    isDone.withLock { $0 = true }
    thread.join()
    #expect(refused == 1)
    #expect(try shop.store.statistics().roots == 0)
  }

  @Test("a cancelled import ends with that, and so does one whose sink fails")
  func cancelling() throws {
    let tree = try shop.makeFolder("t")
    for index in 0..<500 { try shop.write("\(index)", to: "\(tree)/\(index)") }
    let importer = TreeImporter(into: try shop.store.makeWriter())
    importer.cancel()
    #expect(serviceError { _ = try importer.run(tree) }?.code == .cancelled)
    let writer = try shop.store.makeWriter()
    writer.abandon()
    #expect(serviceError { _ = try TreeImporter(into: writer).run(tree) }?.code == .cancelled)
    #expect(try shop.store.statistics().directories == 0)
  }

  @Test("after an error in a deep tree everything is let go of without running out of stack")
  func deepFailure() throws {
    let made = try Shell.run(
      "/usr/bin/env",
      [
        "perl", "-MPOSIX", "-e",
        """
        chdir $ARGV[0]; mkdir "t", 0755; chdir "t";
        for (1..2000) { mkdir "d", 0755; open F, ">f"; close F; chdir "d"; }
        POSIX::mkfifo("pipe", 0600);
        """, shop.folder.path,
      ]
    )
    #expect(made.code == 0, "\(made.output)")
    let error = serviceError { _ = try shop.importTree(shop.sub("t")) }
    #expect(error?.message.contains("/d/d/d/pipe") == true)
  }
}
