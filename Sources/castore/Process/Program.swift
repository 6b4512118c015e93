import ArgumentParser
import CLinux
import Dispatch
import Glibc
import Platform

/// The process around a command: what has to be right before it begins, and how it ends.
@main
enum Program {
  // Not asynchronous: the first task may need a thread that is not to be had.
  static func main() {
    Surroundings.prepare()
    let arguments = ArgumentRuns.fold(ArgumentBytes.all)
    do {
      try CommandNames.check(arguments)
      // Parsed here: wrong usage and questions for help are answered whatever there is a want of.
      var parsed = try CastoreCommand.parseAsRoot(arguments)
      guard let command = parsed as? any AsyncParsableCommand else {
        // One of the parser's own: help.
        try parsed.run()
        end(nil)
      }
      try Surroundings.requireSupplies()
      // Unsafe in name only: nobody else has it.
      nonisolated(unsafe) let handedOver = command
      Task { await run(handedOver) }
    } catch {
      end(error)
    }
    dispatchMain()
  }

  @concurrent
  private static func run(_ command: any AsyncParsableCommand) async {
    var command = command
    do {
      try await command.run()
      end(nil)
    } catch {
      end(error)
    }
  }

  /// Ends the process with what an error says, and to the status that is right for it.
  private static func end(_ error: (any Error)?) -> Never {
    guard let error else {
      LogWriter.shared.flush()
      ProcessSignals.dieIfPending()
      exit(0)
    }
    if error is ReaderGone { ProcessSignals.die(of: SIGPIPE) }
    let status = CastoreCommand.exitCode(for: error)
    let text = CastoreCommand.fullMessage(for: error)
    if status == .success {
      // Help, or the version: that is data.
      do { try Output.line(text) } catch { end(error) }
    } else if !text.isEmpty {
      note(text)
    }
    LogWriter.shared.flush()
    ProcessSignals.dieIfPending()
    exit(status.rawValue)
  }
}
