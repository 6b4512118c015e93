import Glibc
import Logging

/// The log of a long-running command, on standard error. Level from CASTORE_LOG: trace, debug,
/// info (default), notice, warning, error, critical.
func makeLogger() -> Logger {
  LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
  var logger = Logger(label: "castore")
  logger.logLevel = environment("CASTORE_LOG").flatMap(Logger.Level.init(rawValue:)) ?? .info
  return logger
}
