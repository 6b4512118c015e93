import ArgumentParser
import Glibc

/// A guest's view of a tree, through `castore virtiofs` and through QEMU's own server.
struct VirtioFSBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "virtiofs",
    abstract: "Walk and read a tree in a virtual machine, through castore and QEMU's virtiofsd."
  )

  @OptionGroup var options: BenchOptions

  @Option(help: "The script that boots a guest.")
  var guest = "Tests/guest/run-guest.sh"

  @Option(help: "The peer.")
  var virtiofsd = "/usr/lib/qemu/virtiofsd"

  /// In the order in which the guest does them.
  private static let workloads = [
    "walk of 20,000 files", "the same again", "1 GiB in sequence", "5,000 random 4 KiB, direct",
    "1,000 small files",
  ]

  func run() throws {
    let work = try Workspace(in: options.work)
    defer { work.remove() }
    print("preparing 20,000 files and one of 1 GiB in \(work.path)")
    try prepare(work.path)
    var times: [String: [[Double]]] = [:]
    for round in 1...max(1, options.rounds) {
      // Each begins as often as the other.
      let names = round % 2 == 1 ? ["castore", "virtiofsd"] : ["virtiofsd", "castore"]
      for name in names {
        times[name, default: []].append(try measure(name, work.path))
      }
      print("round \(round) of \(options.rounds) done")
    }
    print("\nseconds in the guest, medians of \(options.rounds) rounds")
    var rows = [["", "castore", "virtiofsd", "castore is faster by"]]
    for (index, workload) in Self.workloads.enumerated() {
      let ours = median((times["castore"] ?? []).map { $0[index] })
      let peers = median((times["virtiofsd"] ?? []).map { $0[index] })
      rows.append([workload, decimal(ours), decimal(peers), decimal(peers / ours) + " x"])
    }
    printTable(rows)
  }

  private func prepare(_ work: String) throws {
    try shell(
      """
      mkdir "$1/tree"; cd "$1/tree"
      for half in a b; do for folder in {00..99}; do
        mkdir -p $half/$folder
        for file in {00..99}; do echo "$half $folder $file" >$half/$folder/$file; done
      done; done
      head -c 1073741824 /dev/urandom >big
      """,
      work
    )
    try shell(
      "\"$1\" import --store \"local:$2/store\" \"$2/tree\" >/dev/null",
      options.castore,
      work
    )
    // Busybox would start a process for each read.
    try shell("printf '%s' \"$2\" | cc -x c -O1 -static -o \"$1/random\" -", work, Self.reader)
  }

  private func measure(_ name: String, _ work: String) throws -> [Double] {
    let socket = work + "/socket"
    _ = unlink(socket)
    let command =
      name == "castore"
      ? [options.castore, "virtiofs", "--store", "local:\(work)/store", "--once", socket]
      : [virtiofsd, "--socket-path=\(socket)", "-o", "source=\(work)/tree"]
    let server = try Child(command)
    defer { server.end() }
    for _ in 0..<200 where access(socket, F_OK) != 0 { usleep(50_000) }
    let top = name == "castore" ? "/mnt/tree" : "/mnt"
    let output = work + "/times"
    try shell(
      "\"$1\" --socket \"$2\" --tag tree --add \"$3\":/random -- \"$4\" >\"$5\"",
      guest,
      socket,
      work + "/random",
      "T=\(top)\n" + Self.script,
      output
    )
    let times = try numbers(in: output)
    guard times.count == Self.workloads.count else {
      throw BenchError("the guest with \(name) told \(times.count) times")
    }
    return times
  }

  private func numbers(in path: String) throws -> [Double] {
    guard let file = fopen(path, "r") else { throw BenchError("cannot open \(path)") }
    defer { fclose(file) }
    var numbers: [Double] = []
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil { numbers.append(strtod(line, nil)) }
    return numbers
  }

  /// The peer keeps a descriptor for each file that the guest knows, and has 20,000 at most where the limit
  /// cannot be raised: so the walk has two halves for both, and the guest forgets the first before the second.
  private static let script = """
    set -e
    now() { read -r up rest </proc/uptime; echo $up; }
    forget() { echo 3 >/proc/sys/vm/drop_caches; sleep 1; }
    since() { awk -v a=$1 -v b=$(now) 'BEGIN { printf "%.2f", b - a }'; }
    sum() { awk -v a=$1 -v b=$2 'BEGIN { printf "%.2f\\n", a + b }'; }
    t=$(now); find $T/a -size +9999 >/dev/null; a=$(since $t)
    t=$(now); find $T/a -size +9999 >/dev/null; c=$(since $t)
    forget
    t=$(now); find $T/b -size +9999 >/dev/null; b=$(since $t)
    t=$(now); find $T/b -size +9999 >/dev/null; d=$(since $t)
    sum $a $b; sum $c $d
    forget
    t=$(now); dd if=$T/big of=/dev/null bs=1M 2>/dev/null; sum $(since $t) 0
    forget
    t=$(now); /random $T/big; sum $(since $t) 0
    forget
    t=$(now); cat $T/a/0*/* >/dev/null; sum $(since $t) 0
    """

  private static let reader = """
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <stdlib.h>
    #include <unistd.h>
    int main(int count, char **words) {
      int file = open(words[1], O_RDONLY | O_DIRECT);
      void *buffer = aligned_alloc(4096, 4096);
      unsigned long state = 88172645463325252;
      for (int i = 0; i < 5000; i++) {
        state ^= state << 13; state ^= state >> 7; state ^= state << 17;
        if (pread(file, buffer, 4096, state % 262144 * 4096) != 4096) return 1;
      }
      return 0;
    }

    """
}
