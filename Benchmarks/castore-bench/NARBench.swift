import ArgumentParser
import Glibc

/// NARs of a stored tree and back, against `nix-store --dump` and `--restore`.
struct NARBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nar",
    abstract: "Render and ingest the NAR of a tree that lies in the page cache."
  )

  @OptionGroup var options: BenchOptions

  @Option(help: "How many files.")
  var files = 50_000

  @Option(help: "How many bytes in all.")
  var bytes = 1_500_000_000

  func run() throws {
    let work = try Workspace(in: options.work)
    defer { work.remove() }
    let (tree, nar) = (work.path + "/tree", work.path + "/tree.nar")
    print("making a tree of \(files) files, \(bytes / 1_000_000) MB, in \(work.path)")
    try ImportBench.makeTree(tree, files: files, bytes: bytes)
    let store = "local:\(work.path)/store"
    try shell("\"$1\" import --store \"$2\" --name tree \"$3\"", options.castore, store, tree)
    try shell("nix-store --dump \"$1\" > \"$2\"; sync -f \"$1\"", tree, nar)
    try shell(
      "cmp \"$4\" <(\"$1\" nix dump --store \"$2\" \"$3\")",
      options.castore,
      store,
      "tree",
      nar
    )
    var times: [String: [Double]] = [:]
    // What writes comes last: the file system goes on working after it, and whoever is measured next would
    // pay for it.
    for round in 1...max(1, options.rounds) {
      try render(tree, store, &times)
      try hash(nar, &times)
      print("round \(round) of \(options.rounds) of reading done")
    }
    for round in 1...max(1, options.rounds) {
      try ingest(nar, work, &times)
      print("round \(round) of \(options.rounds) of writing done")
    }
    var rows = [["", "castore, seconds", "peer, seconds", "castore is faster by"]]
    for (name, peer) in Self.rows {
      let (ours, theirs) = (median(times[name] ?? []), median(times[peer] ?? []))
      rows.append([
        "\(name) against \(peer)", decimal(ours, 3), decimal(theirs, 3),
        decimal(theirs / ours) + " x",
      ])
    }
    printTable(rows)
    try memory(nar, store, work)
  }

  private static let rows = [
    ("render to /dev/null", "nix-store --dump"),
    ("render into a pipe", "nix-store --dump into a pipe"),
    ("render and hash", "nix-hash --type sha256"),
    ("ingest, durable", "nix-store --restore"),
    ("ingest, durable", "nix-store --restore; sync -f"),
    ("ingest what is known", "nix-store --restore"),
    ("hash a file", "sha256sum"),
    ("hash a file", "openssl dgst -sha256"),
  ]

  private func render(
    _ tree: String,
    _ store: String,
    _ times: inout [String: [Double]]
  ) throws {
    let ours = "\"$1\" nix dump --store \"$2\" tree"
    try measure("render to /dev/null", &times, ours + " >/dev/null", options.castore, store)
    try measure("nix-store --dump", &times, "nix-store --dump \"$1\" >/dev/null", tree)
    try measure("render into a pipe", &times, ours + " | cat >/dev/null", options.castore, store)
    try measure(
      "nix-store --dump into a pipe",
      &times,
      "nix-store --dump \"$1\" | cat >/dev/null",
      tree
    )
    try measure(
      "render and hash",
      &times,
      "\"$1\" nix hash --store \"$2\" tree",
      options.castore,
      store
    )
    try measure("nix-hash --type sha256", &times, "nix-hash --type sha256 \"$1\"", tree)
  }

  private func ingest(
    _ nar: String,
    _ work: Workspace,
    _ times: inout [String: [Double]]
  ) throws {
    let (folder, copy) = (work.path + "/ingested", work.path + "/restored")
    let ours = "\"$1\" nix restore --store \"$2\" tree < \"$3\""
    try measure("ingest, durable", &times, ours, options.castore, "local:" + folder, nar)
    try measure("ingest what is known", &times, ours, options.castore, "local:" + folder, nar)
    try shell("rm -rf \"$1\"; sync", folder)
    try measure("nix-store --restore", &times, "nix-store --restore \"$1\" < \"$2\"", copy, nar)
    try shell("rm -rf \"$1\"; sync", copy)
    try measure(
      "nix-store --restore; sync -f",
      &times,
      "nix-store --restore \"$1\" < \"$2\"; sync -f \"$1\"",
      copy,
      nar
    )
    try shell("rm -rf \"$1\"; sync", copy)
  }

  private func hash(_ nar: String, _ times: inout [String: [Double]]) throws {
    let store = "local:" + nar + ".store"
    if times["hash a file"] == nil {
      try shell("\"$1\" import --store \"$2\" --name nar \"$3\"", options.castore, store, nar)
    }
    let ours = "\"$1\" nix hash --flat --store \"$2\" nar"
    try measure("hash a file", &times, ours, options.castore, store)
    try measure("sha256sum", &times, "sha256sum \"$1\"", nar)
    try measure("openssl dgst -sha256", &times, "openssl dgst -sha256 \"$1\"", nar)
  }

  private func memory(_ nar: String, _ store: String, _ work: Workspace) throws {
    let dump = try peakMemory(
      "exec \"$1\" nix dump --store \"$2\" tree",
      [options.castore, store]
    )
    let restore = try peakMemory(
      "exec \"$1\" nix restore --store \"$2\" tree < \"$3\"",
      [options.castore, "local:\(work.path)/memory", nar]
    )
    print("peak memory: \(dump / 1024) MB to render, \(restore / 1024) MB to ingest")
  }

  private func measure(
    _ name: String,
    _ times: inout [String: [Double]],
    _ command: String,
    _ arguments: String...
  ) throws {
    let took = try seconds {
      let words = ["/bin/bash", "-c", "set -euo pipefail; " + command, "bash"]
      guard try Child(words + arguments).wait() == 0 else { throw BenchError("'\(name)' failed") }
    }
    times[name, default: []].append(took)
  }

  /// The most that a command had resident, in KiB.
  private func peakMemory(_ command: String, _ arguments: [String]) throws -> Int {
    let child = try Child(["/bin/bash", "-c", command, "bash"] + arguments)
    var usage = rusage()
    var status: CInt = 0
    guard wait4(child.pid, &status, 0, &usage) == child.pid, status == 0 else {
      throw BenchError("'\(command)' failed")
    }
    return usage.ru_maxrss
  }
}
