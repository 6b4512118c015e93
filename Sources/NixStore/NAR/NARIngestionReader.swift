internal import Castore
internal import NixCompat

/// Takes a NAR apart: small files are stored right out of the pieces they came in, several at once.
///
/// What a piece says about the tree waits until all files in it are stored; then the tree is built on.
struct NARIngestionReader {
  private enum Step {
    case beginEntry(PathComponent)
    case beginDirectory
    case endDirectory
    case node(Node)
    /// A file whose digest the crew finds out.
    case file(job: Int, size: UInt64, isExecutable: Bool)
  }

  private let input: NARInput
  private let sink: any TreeSink
  private let crew: BlobCrew
  private var assembler: TreeAssembler
  private var parser: NARParser
  private var piece: NARInput.Piece?
  private var position = 0
  private var steps: [Step] = []
  private var jobs: [UnsafeRawBufferPointer] = []
  private let expectedFileHash: NixHash?
  private var fileHasher: NixHasher?

  init(
    _ input: NARInput,
    _ sink: any TreeSink,
    _ crew: BlobCrew,
    _ options: NARIngester.Options,
    fileHash: NixHash?
  ) {
    self.input = input
    self.sink = sink
    self.crew = crew
    assembler = TreeAssembler(sink, options)
    parser = NARParser(maximumDepth: options.maximumDepth)
    expectedFileHash = fileHash
    if let fileHash { fileHasher = NixHasher(fileHash.algorithm) }
  }

  /// Reads to the end.
  mutating func run() throws(NARIngestionError) -> Node {
    while let event = try next() {
      switch event {
      case .directoryStart: steps.append(.beginDirectory)
      case .directoryEnd: steps.append(.endDirectory)
      case .entry(let name):
        guard let name = try? PathComponent(name) else {
          throw malformed(.invalidName(name))
        }
        steps.append(.beginEntry(name))
      case .symlink(let target):
        guard let target = try? SymlinkTarget(target) else {
          throw malformed(.invalidTarget(target))
        }
        steps.append(.node(.symlink(target: target)))
      case .file(let size, let isExecutable):
        try storeFile(size: size, isExecutable: isExecutable)
      }
    }
    guard let root = assembler.root else {
      preconditionFailure("a NAR that has ended has a root")
    }
    return root
  }

  /// Stores the files of the piece, and builds on the tree.
  private mutating func settle() throws(NARIngestionError) {
    let results = crew.store(jobs)
    jobs.removeAll(keepingCapacity: true)
    for step in steps {
      switch step {
      case .beginEntry(let name): assembler.beginEntry(name)
      case .beginDirectory: assembler.beginDirectory()
      case .endDirectory: try assembler.endDirectory()
      case .node(let node): try assembler.add(node)
      case .file(let job, let size, let isExecutable):
        switch results[job] {
        case .success(let digest):
          try assembler.add(.file(digest: digest, size: size, isExecutable: isExecutable))
        case .failure(let error):
          throw .notStored(path: assembler.path, error)
        }
      }
    }
    steps.removeAll(keepingCapacity: true)
  }

  /// Compares the hash of the one file, where one was expected.
  func compareFile(_ node: Node, _ address: ContentAddress?) throws(NARIngestionError) {
    guard let address, let expectedFileHash, let fileHasher else { return }
    guard case .file = node else { throw .notAFile(address, got: node.kind) }
    let got = fileHasher.finalize()
    if got != expectedFileHash {
      throw .wrongHash(of: "file", expected: expectedFileHash, got: got)
    }
  }

  private mutating func next() throws(NARIngestionError) -> NAREvent? {
    while true {
      if let piece {
        do throws(NARError) {
          let event = try parser.next(in: piece.bytes.bytes, from: &position)
          if let event { return event }
        } catch {
          throw .malformed(error)
        }
      }
      if try !advance() {
        do throws(NARError) {
          try parser.finish()
        } catch {
          throw .malformed(error)
        }
        return nil
      }
    }
  }

  /// Goes on to the next piece, which is not empty.
  private mutating func advance() throws(NARIngestionError) -> Bool {
    try settle()
    position = 0
    do {
      repeat { piece = try input.next() } while piece?.count == 0
    } catch {
      throw malformed(.sourceFailed, error)
    }
    return piece != nil
  }

  private func malformed(
    _ code: NARError.Code,
    _ cause: (any Error)? = nil
  ) -> NARIngestionError {
    .malformed(NARError(code, offset: parser.offset, cause: cause))
  }

  // MARK: Files

  private mutating func storeFile(
    size: UInt64,
    isExecutable: Bool
  ) throws(NARIngestionError) {
    let digest: B3Digest
    if size <= UInt64(sink.inMemoryLimit) {
      let count = Int(size)
      // Where the piece holds all of it, it is not copied.
      if let piece, piece.count - position >= count {
        jobs.append(takeFromPiece(piece, count))
        steps.append(.file(job: jobs.count - 1, size: size, isExecutable: isExecutable))
        return
      }
      digest = try storeInMemory(count)
    } else {
      digest = try storeStreamed()
    }
    steps.append(.node(.file(digest: digest, size: size, isExecutable: isExecutable)))
  }

  private mutating func takeFromPiece(
    _ piece: NARInput.Piece,
    _ count: Int
  ) -> UnsafeRawBufferPointer {
    let bytes = UnsafeRawBufferPointer(rebasing: piece.bytes[position..<(position + count)])
    position += count
    parser.passContents(count)
    fileHasher?.update(bytes)
    return bytes
  }

  private func store(_ bytes: UnsafeRawBufferPointer) throws(NARIngestionError) -> B3Digest {
    do throws(ServiceError) {
      return try sink.putBlob(bytes)
    } catch {
      throw .notStored(path: assembler.path, error)
    }
  }

  private mutating func storeInMemory(_ count: Int) throws(NARIngestionError) -> B3Digest {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, count), alignment: 64)
    defer { memory.deallocate() }
    var filled = 0
    while filled < count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: memory[filled..<count])
      filled += try takeContents(rest)
    }
    return try store(UnsafeRawBufferPointer(rebasing: memory[..<count]))
  }

  private mutating func storeStreamed() throws(NARIngestionError) -> B3Digest {
    var failure: NARIngestionError?
    do throws(ServiceError) {
      return try sink.putBlob(anyLengthReading: { (buffer) throws(ServiceError) in
        do throws(NARIngestionError) {
          return try self.takeContents(buffer)
        } catch {
          failure = error
          throw ServiceError(.cancelled, "the archive cannot be read")
        }
      }).digest
    } catch {
      throw failure ?? .notStored(path: assembler.path, error)
    }
  }

  /// Copies contents of the current file.
  ///
  /// - Returns: How many bytes; 0 only at the end of the file.
  private mutating func takeContents(
    _ buffer: UnsafeMutableRawBufferPointer
  ) throws(NARIngestionError) -> Int {
    let remaining = parser.contentsRemaining
    if remaining == 0 { return 0 }
    while true {
      if let piece, position < piece.count {
        let count = Int(min(UInt64(min(buffer.count, piece.count - position)), remaining))
        let bytes = takeFromPiece(piece, count)
        buffer.copyMemory(from: bytes)
        return count
      }
      if try !advance() { throw malformed(.unexpectedEnd) }
    }
  }
}
