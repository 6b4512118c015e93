import NixCompat
import Testing

/// Held against the tools of Nix itself, which must be installed.
@Suite("as Nix does")
struct RealNixTests {
  @Test("a tree gives the same NAR, the same hash and the same store path")
  func tree() throws {
    try withTemporaryFolder { folder in
      let root = "\(folder)/nasty"
      try TreeOnDisk.buildNastyTree(at: root)
      var writer = NARWriter(ByteArraySink())
      try TreeOnDisk.write(Array(root.utf8), to: &writer)
      let nar = try writer.finish().bytes

      #expect(try NixTool.run("nix-store", ["--dump", root], in: folder) == nar)
      let digest = SHA256Hasher.hash(nar)
      #expect(
        try NixTool.line("nix-hash", ["--type", "sha256", "--base32", root], in: folder)
          == digest.nixBase32
      )
      #expect(
        try NixTool.line("nix-hash", ["--type", "sha256", root], in: folder) == digest.hexadecimal
      )
      #expect(
        try NixTool.line("nix-store", ["--add", root], in: folder)
          == StorePath(name: "nasty", sourceNARDigest: digest).absolutePath
      )

      var hashing = NARWriter(SHA256Sink())
      try TreeOnDisk.write(Array(root.utf8), to: &hashing)
      let sink = try hashing.finish()
      #expect(sink.hasher.finalize() == digest)
      #expect(sink.hasher.byteCount == UInt64(nar.count))

      let steps = try NARSamples.decode(nar, pieceLength: 1000)
      #expect(try NARSamples.encode(steps) == nar)
    }
  }

  @Test("Nix restores what we write", arguments: [NARSamples.diverse, NARSamples.helloWorld])
  func restore(steps: [NARStep]) throws {
    try withTemporaryFolder { folder in
      let nar = try NARSamples.encode(steps)
      var source = ByteArraySource(nar)
      let file = try FileOnDisk.create("\(folder)/tree.nar", from: &source)
      _ = try NixTool.run("sh", ["-c", "nix-store --restore tree < \(file)"], in: folder)
      #expect(try NixTool.run("nix-store", ["--dump", "tree"], in: folder) == nar)
    }
  }

  @Test("files have the same flat hashes and fixed-output paths", arguments: HashAlgorithm.allCases)
  func fixed(algorithm: HashAlgorithm) throws {
    try withTemporaryFolder { folder in
      let contents = NARSamples.bytes("some contents\n")
      var source = ByteArraySource(contents)
      let path = try FileOnDisk.create("\(folder)/a-file", from: &source)
      let flat = NixHasher.hash(contents, with: algorithm)
      let name = algorithm.rawValue
      let hash = try NixTool.line("nix-hash", ["--type", name, "--flat", path], in: folder)
      #expect(hash == flat.hexadecimal)
      for (method, text) in [
        ("to-base16", flat.hexadecimal), ("to-base32", flat.nixBase32),
        ("to-base64", flat.base64), ("to-sri", flat.sri),
      ] {
        #expect(try NixTool.line("nix", ["hash", method, flat.sri], in: folder) == text)
      }
      #expect(
        try NixTool.line("nix-store", ["--add-fixed", name, path], in: folder)
          == StorePath(name: "a-file", address: .flat(flat)).absolutePath
      )
      let nar = try NARSamples.encode([NARSamples.file("some contents\n")])
      let recursive = NixHasher.hash(nar, with: algorithm)
      #expect(
        try NixTool.line("nix-store", ["--add-fixed", "--recursive", name, path], in: folder)
          == StorePath(name: "a-file", address: .recursive(recursive)).absolutePath
      )
    }
  }

  @Test("Nix's keys sign and verify here")
  func keys() throws {
    try withTemporaryFolder { folder in
      _ = try NixTool.run(
        "nix-store",
        ["--generate-binary-cache-key", "test.example-1", "secret", "public"],
        in: folder
      )
      let secret = try NixSecretKey(parsing: NixTool.line("cat", ["secret"], in: folder))
      let publicKey = try NixPublicKey(parsing: NixTool.line("cat", ["public"], in: folder))
      #expect(secret.publicKey == publicKey)
      #expect(secret.secretText == (try NixTool.line("cat", ["secret"], in: folder)))
    }
  }

  @Test("a binary cache that Nix writes and signs is read, and verifies")
  func binaryCache() throws {
    try withTemporaryFolder { folder in
      let root = "\(folder)/nasty"
      try TreeOnDisk.buildNastyTree(at: root)
      _ = try NixTool.run(
        "nix-store",
        ["--generate-binary-cache-key", "test.example-1", "secret", "public"],
        in: folder
      )
      let key = try NixPublicKey(parsing: NixTool.line("cat", ["public"], in: folder))
      let path = try StorePath(
        absolutePath: NixTool.line("nix-store", ["--add", root], in: folder)
      )
      let cache = "file://\(folder)/cache?compression=none&secret-key=\(folder)/secret"
      _ = try NixTool.run(
        "nix",
        ["copy", "--no-check-sigs", "--to", cache, path.absolutePath],
        in: folder
      )
      let text = try NixTool.run("cat", ["cache/\(path.digest).narinfo"], in: folder)
      let info = try NARInfo(parsing: text)
      #expect(Array(info.description.utf8) == text)
      #expect(info.storePath == path)
      #expect(info.compression == nil)
      #expect(info.isSigned(byOneOf: [key]))
      let nar = try NixTool.run("cat", ["cache/\(info.url)"], in: folder)
      #expect(SHA256Hasher.hash(nar) == info.narHash)
      #expect(UInt64(nar.count) == info.narSize)
      let address = try #require(info.contentAddress)
      #expect(try StorePath(name: "nasty", address: address) == path)
    }
  }

  @Test("paths that refer to others and to themselves have the same content-addressed paths")
  func references() throws {
    try withTemporaryFolder { folder in
      let other = try StorePath(name: "other", text: [1])
      let path = try StorePath(name: "selfish", text: [2])
      let otherImport = try export(other, contents: "no references", references: [])
      let contents = "I am \(path.absolutePath) and know \(other.absolutePath)"
      let pathImport = try export(path, contents: contents, references: [other, path])
      var source = ByteArraySource(
        otherImport.dropLast(8) + pathImport
      )
      let file = try FileOnDisk.create("\(folder)/export", from: &source)
      _ = try NixTool.run("sh", ["-c", "nix-store --import < \(file)"], in: folder)
      _ = try NixTool.run(
        "nix",
        ["store", "make-content-addressed", "--json", path.absolutePath],
        in: folder
      )
      let all = String(
        decoding: try NixTool.run("nix", ["path-info", "--all"], in: folder),
        as: UTF8.self
      )
      let addressed = try all.split(separator: "\n")
        .map { try StorePath(absolutePath: String($0)) }
        .filter { $0 != other && $0 != path }
      #expect(addressed.count == 2)
      for path in addressed {
        let cache = "file://\(folder)/cache?compression=none"
        _ = try NixTool.run(
          "nix",
          ["copy", "--no-check-sigs", "--to", cache, path.absolutePath],
          in: folder
        )
        let info = try NARInfo(
          parsing: NixTool.run("cat", ["cache/\(path.digest).narinfo"], in: folder)
        )
        let refersToItself = info.references.contains(path)
        #expect(refersToItself == (path.name == "selfish"))
        let computed = try StorePath(
          name: path.name,
          address: #require(info.contentAddress),
          references: info.references.filter { $0 != path },
          refersToItself: refersToItself
        )
        #expect(computed == path)
      }
    }
  }

  /// A plain file in the format of `nix-store --export`.
  private func export(
    _ path: StorePath,
    contents: String,
    references: [StorePath]
  ) throws -> [UInt8] {
    func string(_ text: String) -> [UInt8] { NARSamples.string(Array(text.utf8)) }
    var bytes = NARSamples.number(1)
    bytes += try NARSamples.encode([NARSamples.file(contents)])
    bytes += NARSamples.number(0x4558_494e) + string(path.absolutePath)
    bytes += NARSamples.number(UInt64(references.count))
    for reference in references.sorted() { bytes += string(reference.absolutePath) }
    // No deriver, no signature of the old kind, no more paths.
    return bytes + string("") + NARSamples.number(0) + NARSamples.number(0)
  }
}
