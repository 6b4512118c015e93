import ArgumentParser
import Glibc

/// Import against `cp -a` with a sync, and against `nix-store --add`.
struct ImportBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Import a tree of 50,000 files, 1.5 GB, that lies in the page cache."
  )

  @OptionGroup var options: BenchOptions

  @Option(help: "How many files.")
  var files = 50_000

  @Option(help: "How many bytes in all.")
  var bytes = 1_500_000_000

  func run() throws {
    let work = try Workspace(in: options.work)
    defer { work.remove() }
    let tree = work.path + "/tree"
    print("making a tree of \(files) files, \(bytes / 1_000_000) MB, in \(work.path)")
    try Self.makeTree(tree, files: files, bytes: bytes)
    try shell("sync -f \"$1\"", tree)
    var times: [String: [Double]] = [:]
    var peak = 0
    // Nothing is removed before the end: ext4 searches long for inodes that were freed a moment ago,
    // and the next to be measured would pay for it.
    for round in 1...max(1, options.rounds) {
      let url = "local:\(work.path)/store-\(round)"
      try measure("castore import", &times) {
        peak = max(peak, try peakMemory([options.castore, "import", "--store", url, tree]))
      }
      try measure("castore import again", &times) {
        try shell("\"$1\" import --store \"$2\" \"$3\" >/dev/null", options.castore, url, tree)
      }
      try shell("sync")
      try measure("cp -a; sync -f", &times) {
        try shell("cp -a \"$1\" \"$2\"; sync -f \"$2\"", tree, "\(work.path)/copy-\(round)")
      }
      try measure("nix-store --add", &times) {
        try shell(
          "NIX_REMOTE=\"local?root=$2\" nix-store --add \"$1\" >/dev/null",
          tree,
          "\(work.path)/nix-\(round)"
        )
      }
      try shell("sync")
      print("round \(round) of \(options.rounds) done")
    }
    try shell("chmod -R u+w \"$1\"/nix-*", work.path)
    let ours = median(times["castore import"] ?? [])
    var rows = [["", "seconds", "castore import is faster by"]]
    for name in ["castore import", "cp -a; sync -f", "nix-store --add", "castore import again"] {
      let value = median(times[name] ?? [])
      let ratio = name.hasPrefix("castore") ? "" : decimal(value / ours) + " x"
      rows.append([name, decimal(value), ratio])
    }
    printTable(rows)
    print("peak memory of the import: \(peak / 1024) MB")
  }

  private func measure(
    _ name: String,
    _ times: inout [String: [Double]],
    _ work: () throws -> Void
  ) throws {
    times[name, default: []].append(try seconds(work))
  }

  private func peakMemory(_ arguments: [String]) throws -> Int {
    let child = try Child(arguments)
    guard child.wait() == 0 else { throw BenchError("\(arguments[0]) failed") }
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
    return usage.ru_maxrss
  }

  /// Files of 1 byte to 2 MB, most of them small, all different, in folders of a hundred.
  static func makeTree(_ path: String, files: Int, bytes: Int) throws {
    var generator = Xorshift(state: 0x2545_F491_4F6C_DD1D)
    // Four sizes out of five are small; the last makes up the rest of the bytes.
    let average = bytes / max(1, files)
    var block = [UInt64](repeating: 0, count: 8 * average / 8 + 1)
    for index in block.indices { block[index] = generator.next() }
    try shell("mkdir -p \"$1\"", path)
    var rest = bytes
    for number in 0..<files {
      let folder = "\(path)/\(number / 10_000)/\(number / 100)"
      if number % 100 == 0 { try makeFolder(folder) }
      let limit = number % 5 == 4 ? 8 * average : max(1, average / 2)
      let size = min(
        rest,
        number == files - 1 ? min(rest, 8 * average) : Int(generator.next() % UInt64(limit)) + 1
      )
      rest -= size
      block[0] = UInt64(number)
      block[min(block.count - 1, 1 + size / 16)] = generator.next()
      let file = open("\(folder)/file-\(number)", O_WRONLY | O_CREAT | O_EXCL, 0o644)
      guard file >= 0 else { throw BenchError("cannot make a file in \(folder)") }
      let written = block.withUnsafeBytes { write(file, $0.baseAddress, size) }
      close(file)
      guard written == size else { throw BenchError("cannot write a file in \(folder)") }
    }
  }

  private static func makeFolder(_ path: String) throws {
    var parts = ""
    for part in path.split(separator: "/") {
      parts += "/" + part
      guard mkdir(parts, 0o755) == 0 || errno == EEXIST else {
        throw BenchError("cannot make \(parts)")
      }
    }
  }
}
