import ArgumentParser
import Glibc

/// Mounts against the disk itself, other FUSE file systems and the kernel's.
struct MountBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mount",
    abstract: "Walk and read a tree through castore and through its peers."
  )

  @OptionGroup var options: BenchOptions

  @Option(help: "What the tree is made of.")
  var trees = ["/usr/share", "/usr/include"]

  @Option(help: "How many small files to read in random order.")
  var smallFiles = 20_000

  @Option(help: "How many random reads of 4 KiB.")
  var randomReads = 100_000

  @Option(help: "Which peers to leave out, by name.")
  var without: [String] = []

  private static let bigSize = 1 << 30

  private static let workloads = [
    "first walk", "second walk", "first tar", "second tar", "first small files",
    "second small files", "sequential", "sequential again", "random 4 KiB",
  ]

  func run() throws {
    let work = try Workspace(in: options.work)
    defer { work.remove() }
    print("preparing \(trees.joined(separator: ", ")) and a file of 1 GiB in \(work.path)")
    let tree = work.path + "/tree"
    try shell("mkdir \"$1\"", tree)
    for folder in trees { try shell("cp -a \"$1\" \"$2/\"", folder, tree) }
    try shell("head -c 1073741824 /dev/urandom >\"$1/big\"", tree)
    let peers = try preparePeers(work.path, tree)
    var times: [String: [String: [Double]]] = [:]
    for round in 1...max(1, options.rounds) {
      for peer in peers {
        for (workload, value) in try measure(peer) {
          times[workload, default: [:]][peer.name, default: []].append(value)
        }
      }
      print("round \(round) of \(options.rounds) done")
    }
    print("\nmilliseconds, medians of \(options.rounds) rounds")
    printTable(rows(times, peers) { value, _ in decimal(value * 1000, 1) })
    print("\nspeed relative to native (1.00: as fast, 0.50: half as fast)")
    printTable(rows(times, peers) { value, native in decimal(native / value) })
  }

  private func rows(
    _ times: [String: [String: [Double]]],
    _ peers: [any Peer],
    _ cell: (Double, Double) -> String
  ) -> [[String]] {
    [[""] + peers.map(\.name)]
      + Self.workloads.map { workload in
        let native = median(times[workload]?["native"] ?? [])
        return [workload]
          + peers.map { cell(median(times[workload]?[$0.name] ?? []), native) }
      }
  }

  private func preparePeers(_ work: String, _ tree: String) throws -> [any Peer] {
    let store = "local:\(work)/store"
    try shell("\"$1\" import --store \"$2\" \"$3\" >/dev/null", options.castore, store, tree)
    // Without compression: the strongest form of the peer.
    try shell(
      "mksquashfs \"$1\" \"$2\" -quiet -no-progress -noI -noD -noF -noX",
      tree,
      work + "/squashfs"
    )
    func ours(_ name: String, _ arguments: String...) -> ServerPeer {
      let mountpoint = "\(work)/\(name.split(separator: " ").joined(separator: "-"))"
      return ServerPeer(
        name,
        mountpoint: mountpoint,
        path: "/tree",
        command: [options.castore, "mount", "--store", store] + arguments + [mountpoint]
      )
    }
    let peers: [any Peer] = [
      NativePeer(tree: tree),
      KernelPeer(
        name: "kernel squashfs",
        type: "squashfs",
        image: work + "/squashfs",
        mountpoint: work + "/kernel-squashfs"
      ),
      ServerPeer(
        "squashfuse_ll",
        mountpoint: work + "/squashfuse",
        command: ["squashfuse_ll", "-f", work + "/squashfs", work + "/squashfuse"]
      ),
      ServerPeer(
        "bindfs",
        mountpoint: work + "/bindfs",
        command: ["bindfs", "-f", "-r", tree, work + "/bindfs"]
      ),
      ours("castore"),
    ]
    return peers.filter { !without.contains($0.name) }
  }

  private func measure(_ peer: any Peer) throws -> [(String, Double)] {
    var times: [(String, Double)] = []
    func run(_ workload: String, _ work: () throws -> Void) throws {
      times.append((workload, try seconds(work)))
    }
    func mounted(_ work: (String) throws -> Void) throws {
      let path = try peer.start()
      do { try work(path) } catch {
        try peer.stop()
        throw error
      }
      try peer.stop()
    }
    var small: [String] = []
    try mounted { path in
      try run("first walk") { small = try Workloads.walk(path) }
      try run("second walk") { try Workloads.walk(path) }
    }
    try mounted { path in
      try run("first tar") { try tar(path) }
      try run("second tar") { try tar(path) }
    }
    var generator = Xorshift(state: 0x9E37_79B9_7F4A_7C15)
    small.sort()
    small.shuffle(using: &generator)
    let chosen = Array(small.prefix(smallFiles))
    try mounted { path in
      try run("first small files") { try Workloads.readAll(chosen) }
      try run("second small files") { try Workloads.readAll(chosen) }
    }
    try mounted { path in
      try run("sequential") { try Workloads.readSequentially(path + "/big") }
      try run("sequential again") { try Workloads.readSequentially(path + "/big") }
    }
    try mounted { path in
      try run("random 4 KiB") {
        try Workloads.readRandomly(path + "/big", size: Self.bigSize, times: randomReads)
      }
    }
    return times
  }

  private func tar(_ path: String) throws {
    // Not to /dev/null: tar sees that, and reads nothing.
    try shell("tar cf - -C \"$1\" --exclude ./big . | cat >/dev/null", path)
  }
}
