public import Castore

extension DataPathDecision.Facts {
  /// Looks at what trees hold: at the sizes that some of their directories state, wherever those are.
  ///
  /// No blob is touched, so that it makes no difference what of them is at hand. The same trees give the same
  /// facts. What cannot be had is passed by; cancelled, it returns what it has seen.
  ///
  /// - Parameters:
  ///   - rootLimit: How many names at the top are looked at.
  ///   - directoryLimit: How many directories are fetched at most.
  public static func sampling(
    _ roots: any RootNodes,
    _ directories: any DirectoryService,
    rootLimit: Int = 4096,
    directoryLimit: Int = 1024
  ) async -> DataPathDecision.Facts {
    var sample = Sample()
    do {
      var count = 0
      for try await root in roots.list() {
        sample.add(root.node)
        count += 1
        if count == rootLimit { break }
      }
    } catch {
      // A store that does not list its names: those that came before count.
    }
    var fetched = 0
    while fetched < directoryLimit, !Task.isCancelled, let digest = sample.next() {
      fetched += 1
      do throws(ServiceError) {
        guard let directory = try await directories.get(digest) else { continue }
        for entry in directory.entries { sample.add(entry.node) }
      } catch {
        // Told when somebody looks into it.
      }
    }
    return DataPathDecision.Facts(files: sample.files, bytes: sample.bytes)
  }

  private struct Sample {
    var files: UInt64 = 0
    var bytes: UInt64 = 0
    private var waiting: [B3Digest] = []
    private var seen: Set<B3Digest> = []
    private var random: UInt64 = 1

    mutating func add(_ node: Node) {
      switch node {
      case .directory(let digest, _):
        if seen.insert(digest).inserted { waiting.append(digest) }
      case .file(_, let size, _):
        let (sum, overflow) = bytes.addingReportingOverflow(size)
        bytes = overflow ? .max : sum
        files += 1
      case .symlink: break
      }
    }

    // Any of those that wait, so that high and low, first and last trees are seen: always the same ones.
    mutating func next() -> B3Digest? {
      guard !waiting.isEmpty else { return nil }
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      waiting.swapAt(Int((random >> 33) % UInt64(waiting.count)), waiting.count - 1)
      return waiting.removeLast()
    }
  }
}
