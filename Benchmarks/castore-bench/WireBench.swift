import ArgumentParser
import Glibc

/// A store on the other side of a socket: a long blob against nginx, a tree through a mount.
struct WireBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wire",
    abstract:
      "Send and fetch a blob over gRPC, and read a tree through a mount of a store elsewhere."
  )

  @OptionGroup var options: BenchOptions

  @Option(help: "How many files the tree has.")
  var files = 50_000

  @Option(help: "How many bytes the tree has in all.")
  var bytes = 500_000_000

  @Option(help: "How long the very long blob is that is sent and fetched once, in GiB; 0 for none.")
  var longGigabytes = 5

  private static let blobSize = 1 << 30

  func run() throws {
    let work = try Workspace(in: options.work)
    defer { work.remove() }
    print("making a tree of \(files) files, \(bytes / 1_000_000) MB, and blobs, in \(work.path)")
    let tree = work.path + "/tree"
    try ImportBench.makeTree(tree, files: files, bytes: bytes)
    let far = "local:\(work.path)/far"
    try shell("\"$1\" import --store \"$2\" \"$3\" >/dev/null", options.castore, far, tree)

    let port = 20_000 + Int(getpid() % 20_000)
    let daemon = try WireServer(
      options.castore,
      store: far,
      port: port,
      socket: work.path + "/socket",
      log: work.path + "/daemon.log"
    )
    defer { daemon.process.end() }
    let nginx = try startNginx(work.path, port: port + 1)
    defer { nginx.end() }

    try measureBlobs(work.path, daemon, nginxURL: "http://127.0.0.1:\(port + 1)/blob")
    try measureTree(work.path, daemon)
    if longGigabytes > 0 { try measureMemory(work.path, daemon) }
  }

  // MARK: A blob

  private func measureBlobs(_ work: String, _ daemon: WireServer, nginxURL: String) throws {
    let (tcp, unix) = (daemon.tcpURL, daemon.unixURL)
    var times: [String: [Double]] = [:]
    func measure(_ name: String, _ command: String, _ arguments: String...) throws {
      let took = try seconds {
        let words = ["/bin/bash", "-c", "set -euo pipefail; " + command, "bash"] + arguments
        guard try Child(words).wait() == 0 else { throw BenchError("'\(name)' failed") }
      }
      times[name, default: []].append(took)
    }
    let castore = options.castore
    for round in 1...max(1, options.rounds) {
      // A new blob each time: what is there already would not travel.
      let name = "blob-\(round)"
      try shell(
        "head -c \"$2\" /dev/urandom >\"$1/\(name)\"; ln -f \"$1/\(name)\" \"$1/blob\"; sync -f \"$1\"",
        work,
        String(Self.blobSize)
      )
      let put = "\"$1\" import --store \"$2\" \"$3\" >/dev/null"
      try measure("put over TCP, durable", put, castore, tcp, "\(work)/\(name)")
      try measure("put, to the disk here", put, castore, "local:\(work)/here", "\(work)/\(name)")
      try shell("sync -f \"$1\"", work)
      let get = "\"$1\" cat --store \"$2\" \"$3\" >/dev/null"
      try measure("get over TCP", get, castore, tcp, name)
      try measure("nginx and curl", "curl -sf \"$1\" >/dev/null", nginxURL)
      try measure("get over a Unix socket", get, castore, unix, name)
      try measure("nginx, curl and b3sum", "curl -sf \"$1\" | b3sum >/dev/null", nginxURL)
      try shell("rm -rf \"$1/here\"", work)
      print("round \(round) of \(options.rounds) of blobs done")
    }
    let nginx = median(times["nginx and curl"] ?? [])
    var rows = [["1 GiB blob", "seconds", "GB/s", "of nginx"]]
    for name in [
      "get over TCP", "get over a Unix socket", "put over TCP, durable", "put, to the disk here",
      "nginx and curl", "nginx, curl and b3sum",
    ] {
      let time = median(times[name] ?? [])
      rows.append([
        name, decimal(time), decimal(Double(Self.blobSize) / time / 1e9), decimal(nginx / time),
      ])
    }
    printTable(rows)
  }

  private func startNginx(_ work: String, port: Int) throws -> Child {
    let text = """
      daemon off; user root; worker_processes 2; pid \(work)/nginx.pid; error_log \(work)/nginx.log;
      events {}
      http { access_log off; sendfile on; server { listen 127.0.0.1:\(port); root \(work); } }
      """
    guard let file = fopen(work + "/nginx.conf", "w") else { throw BenchError("no nginx.conf") }
    fputs(text, file)
    fclose(file)
    return try Child(["nginx", "-p", work, "-c", work + "/nginx.conf", "-e", work + "/nginx.log"])
  }

  // MARK: A tree

  private func measureTree(_ work: String, _ daemon: WireServer) throws {
    var rows = [["tree of \(files) files", "seconds", "files/s", "calls", "calls a file"]]
    let near = "local:\(work)/near"
    for (round, title) in ["first, from afar", "again, from near"].enumerated() {
      let mountpoint = "\(work)/mount-\(round)"
      let mount = ServerPeer(
        title,
        mountpoint: mountpoint,
        path: "/tree",
        origin: work + "/far",
        command: [
          options.castore, "mount", "--store", daemon.tcpURL, "--cache", near, mountpoint,
        ]
      )
      let path = try mount.start()
      do {
        let tar = { _ = try shell("tar cf - -C \"$1\" . | cat >/dev/null", path) }
        for name in ["walk", "read", "read again"] {
          let before = try daemon.calls()
          let time = try seconds {
            if name == "walk" { try Workloads.walk(path) } else { try tar() }
          }
          let calls = try daemon.calls() - before
          rows.append([
            "\(name), \(title)", decimal(time), decimal(Double(files) / time, 0), String(calls),
            decimal(Double(calls) / Double(files), 3),
          ])
        }
      } catch {
        try mount.stop()
        throw error
      }
      try mount.stop()
    }
    printTable(rows)
  }

  // MARK: Memory

  private func measureMemory(_ work: String, _ daemon: WireServer) throws {
    print("sending and fetching a blob of \(longGigabytes) GiB")
    let file = work + "/long"
    try shell("head -c \"$2\" /dev/urandom >\"$1\"", file, String(longGigabytes << 30))
    let up = try peakMemory([options.castore, "import", "--store", daemon.tcpURL, file])
    let copy = work + "/long-copy"
    let down = try peakMemory([options.castore, "export", "--store", daemon.tcpURL, "long", copy])
    try shell("cmp \"$1\" \"$2\"", file, copy)
    print(
      "peak memory: client \(up / 1024) MB to send, \(down / 1024) MB to fetch; "
        + "server \(daemon.peakMemory / 1024) MB"
    )
  }

  /// The most that a command had resident, in KiB.
  private func peakMemory(_ arguments: [String]) throws -> Int {
    let child = try Child(arguments)
    var usage = rusage()
    var status: CInt = 0
    guard wait4(child.pid, &status, 0, &usage) == child.pid, status == 0 else {
      throw BenchError("'\(arguments.joined(separator: " "))' failed")
    }
    return usage.ru_maxrss
  }
}

/// `castore daemon`, on a port and a socket.
private struct WireServer {
  let process: Child
  let tcpURL: String
  let unixURL: String
  private let log: String

  init(_ castore: String, store: String, port: Int, socket: String, log: String) throws {
    (tcpURL, unixURL) = ("grpc+http://127.0.0.1:\(port)", "grpc+unix://\(socket)")
    self.log = log
    process = try Child([
      "/bin/bash", "-c", "exec \"$@\" 2>\"$0\"", log, castore, "daemon", "--store", store,
      "--listen", "127.0.0.1:\(port)", "--listen", "unix:\(socket)",
    ])
    for _ in 0..<200 where access(socket, F_OK) != 0 { usleep(50_000) }
    usleep(200_000)
  }

  /// How many calls there were, of all sorts.
  func calls() throws -> Int {
    let before = try lines().count
    kill(process.pid, SIGUSR1)
    for _ in 0..<200 {
      usleep(10_000)
      let lines = try lines()
      guard lines.count > before, let line = lines.last else { continue }
      // "... calls: tvix.castore.v1.BlobService/Read 12, ..."
      return line.split(separator: ",").compactMap { part in
        part.split(separator: " ").last.flatMap { Int($0) }
      }
      .reduce(0, +)
    }
    throw BenchError("the daemon does not say how many calls there were")
  }

  private func lines() throws -> [String] {
    guard let file = fopen(log, "r") else { throw BenchError("cannot read \(log)") }
    defer { fclose(file) }
    var found: [String] = []
    var buffer = [CChar](repeating: 0, count: 65536)
    while fgets(&buffer, CInt(buffer.count), file) != nil {
      let bytes = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      let line = String(decoding: bytes, as: UTF8.self)
      if line.contains(" calls: ") { found.append(line) }
    }
    return found
  }

  /// The most that it had resident, in KiB.
  var peakMemory: Int {
    guard let file = fopen("/proc/\(process.pid)/status", "r") else { return 0 }
    defer { fclose(file) }
    var buffer = [CChar](repeating: 0, count: 256)
    while fgets(&buffer, CInt(buffer.count), file) != nil {
      let bytes = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      let words = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\t" }
      if words.first == "VmHWM:", words.count > 1 { return Int(words[1]) ?? 0 }
    }
    return 0
  }
}
