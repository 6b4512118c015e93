import ArgumentParser

/// Measures castore against named peers, on this machine, in one run.
///
/// Ratios count, not figures: machines differ, and so do days. Nothing here passes or fails.
@main
struct CastoreBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "castore-bench",
    abstract: "Measure castore against its peers, in one run.",
    subcommands: [
      ImportBench.self, MountBench.self, NARBench.self, VirtioFSBench.self, WireBench.self,
    ]
  )
}

/// What the benchmarks share.
struct BenchOptions: ParsableArguments {
  @Option(help: "The castore binary.")
  var castore = ".build/release/castore"

  @Option(help: "A folder to work in, on the disk to measure; it needs some gigabytes.")
  var work = "/var/tmp"

  @Option(help: "How many rounds; medians are printed.")
  var rounds = 3
}
