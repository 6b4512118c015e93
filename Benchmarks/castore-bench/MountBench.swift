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

  @Option(help: "Which workloads to leave out: tar, small, big.")
  var skip: [String] = []

  @Option(help: "A folder that an earlier run left with --keep, to be used again; it stays.")
  var prepared: String?

  @Flag(help: "Leave the prepared trees and images, and say where.")
  var keep = false

  private static let bigSize = 1 << 30

  private static let workloads = [
    "first walk", "second walk", "first tar", "second tar", "first small files",
    "second small files", "sequential", "sequential again", "random 4 KiB",
  ]

  func run() throws {
    let work = try prepared ?? Workspace(in: options.work).path
    defer { if prepared == nil && !keep { Workspace.remove(work) } }
    if prepared == nil { try prepare(work) }
    if keep { print("left for --prepared: \(work)") }
    let peers = peers(work)
    var times: [String: [String: [Double]]] = [:]
    for round in 1...max(1, options.rounds) {
      // Back and forth, so that no peer always has the same one before it.
      for peer in round % 2 == 1 ? peers : peers.reversed() {
        for (workload, value) in try measure(peer) {
          times[workload, default: [:]][peer.name, default: []].append(value)
        }
      }
      print("round \(round) of \(options.rounds) done")
    }
    print("\nmilliseconds, medians of \(options.rounds) rounds")
    printTable(rows(times, peers) { value, _ in decimal(value * 1000, 1) })
    try printMemory(peers)
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

  private func prepare(_ work: String) throws {
    print("preparing \(trees.joined(separator: ", ")) and a file of 1 GiB in \(work)")
    let tree = work + "/tree"
    try shell("mkdir \"$1\"", tree)
    for folder in trees { try shell("cp -a \"$1\" \"$2/\"", folder, tree) }
    try shell("head -c 1073741824 /dev/urandom >\"$1/big\"", tree)
    let store = "local:\(work)/store"
    try shell("\"$1\" import --store \"$2\" \"$3\" >/dev/null", options.castore, store, tree)
    // Without compression: the strongest form of the peer.
    try shell(
      "mksquashfs \"$1\" \"$2\" -quiet -no-progress -noI -noD -noF -noX",
      tree,
      work + "/squashfs"
    )
    try shell("mkfs.erofs \"$1\" \"$2\" >/dev/null", work + "/erofs", tree)
    try shell("sync")
  }

  private func peers(_ work: String) -> [any Peer] {
    let tree = work + "/tree"
    let store = "local:\(work)/store"
    func ours(_ name: String, _ arguments: String...) -> ServerPeer {
      let mountpoint = "\(work)/\(name.split(separator: " ").joined(separator: "-"))"
      return ServerPeer(
        name,
        mountpoint: mountpoint,
        path: "/tree",
        origin: work + "/store",
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
      KernelPeer(
        name: "kernel erofs",
        type: "erofs",
        image: work + "/erofs",
        mountpoint: work + "/kernel-erofs"
      ),
      ServerPeer(
        "squashfuse_ll",
        mountpoint: work + "/squashfuse",
        origin: work + "/squashfs",
        command: ["squashfuse_ll", "-f", work + "/squashfs", work + "/squashfuse"]
      ),
      ServerPeer(
        "bindfs",
        mountpoint: work + "/bindfs",
        origin: tree,
        command: ["bindfs", "-f", "-r", tree, work + "/bindfs"]
      ),
      ours("castore cached", "--data-path", "cached"),
      ours("castore passthrough", "--data-path", "passthrough"),
    ]
    return peers.filter { !without.contains($0.name) }
  }

  private func measure(_ peer: any Peer) throws -> [(String, Double)] {
    var times: [(String, Double)] = []
    func run(_ workload: String, _ work: () throws -> Void) throws {
      times.append((workload, try seconds(work)))
    }
    func mounted(_ work: (String) throws -> Void) throws {
      // Names and attributes are dropped for all alike. What they stand on lies in the page cache,
      // each time anew since memory may have been taken back meanwhile: the disk is not measured.
      try shell("echo 2 >/proc/sys/vm/drop_caches")
      try shell("tar cf - \"$1\" | cat >/dev/null", peer.origin)
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
    if !skip.contains("tar") {
      try mounted { path in
        try run("first tar") { try tar(path) }
        try run("second tar") { try tar(path) }
      }
    }
    var generator = Xorshift(state: 0x9E37_79B9_7F4A_7C15)
    small.sort()
    small.shuffle(using: &generator)
    let chosen = Array(small.prefix(smallFiles))
    if !skip.contains("small") {
      try mounted { path in
        try run("first small files") { try Workloads.readAll(chosen) }
        try run("second small files") { try Workloads.readAll(chosen) }
      }
    }
    if skip.contains("big") { return times }
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

  /// What a server's memory grows by when the kernel comes to know the whole tree.
  private func printMemory(_ peers: [any Peer]) throws {
    var table = [["", "nodes", "mounted", "after a walk", "a node", "caches dropped"]]
    for peer in peers {
      guard let server = peer as? ServerPeer else { continue }
      let path = try server.start()
      let before = server.residentBytes
      var entries = 0
      try Workloads.walk(path, count: &entries)
      let walked = server.residentBytes
      try shell("echo 2 >/proc/sys/vm/drop_caches; sleep 1")
      let dropped = server.residentBytes
      try server.stop()
      table.append([
        server.name, String(entries), kibibytes(before), kibibytes(walked),
        "\((walked - before) / max(1, entries)) B", kibibytes(dropped),
      ])
    }
    print("\nresident memory of the servers")
    printTable(table)
  }

  private func kibibytes(_ bytes: Int) -> String { "\(bytes >> 10) KiB" }

  private func tar(_ path: String) throws {
    // Not to /dev/null: tar sees that, and reads nothing.
    try shell("tar cf - -C \"$1\" --exclude ./big . | cat >/dev/null", path)
  }
}
