import Glibc
import Logging

/// The log of a long-running command, on standard error. Level from CASTORE_LOG: trace, debug,
/// info (default), notice, warning, error, critical.
///
/// Nobody who logs waits for who reads it.
func makeLogger() throws -> Logger {
  try LogWriter.shared.start()
  LoggingSystem.bootstrap { StreamLogHandler(label: $0, stream: LogStream()) }
  var logger = Logger(label: "castore")
  logger.logLevel = environment("CASTORE_LOG").flatMap(Logger.Level.init(rawValue:)) ?? .info
  return logger
}
