import Glibc

/// A failure that ends the benchmark.
struct BenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// Seconds that some work takes by the wall clock.
func seconds(_ work: () throws -> Void) rethrows -> Double {
  var began = timespec()
  clock_gettime(CLOCK_MONOTONIC, &began)
  try work()
  var ended = timespec()
  clock_gettime(CLOCK_MONOTONIC, &ended)
  return Double(ended.tv_sec - began.tv_sec) + Double(ended.tv_nsec - began.tv_nsec) / 1e9
}

/// The middle value.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return .nan }
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// A number with some digits behind the point.
func decimal(_ value: Double, _ digits: Int = 2) -> String {
  guard value.isFinite else { return "-" }
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = (value * scale).rounded()
  let whole = Int(scaled / scale)
  let rest = String(Int(scaled) - whole * Int(scale))
  return digits == 0
    ? String(whole) : "\(whole)." + String(repeating: "0", count: digits - rest.count) + rest
}

/// Runs a shell command and throws if it fails.
@discardableResult
func shell(_ command: String, _ arguments: String...) throws -> Int32 {
  let child = try Child(["/bin/bash", "-c", "set -euo pipefail; " + command, "bash"] + arguments)
  let status = child.wait()
  guard status == 0 else { throw BenchError("'\(command)' ended with status \(status)") }
  return status
}

/// A program that was started; its output goes nowhere, its errors to ours.
final class Child {
  let pid: pid_t
  private var status: Int32?

  init(_ arguments: [String]) throws {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    var pid = pid_t()
    let words = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let code = posix_spawnp(&pid, arguments[0], &actions, nil, words, environ)
    guard code == 0 else { throw BenchError("cannot start \(arguments[0])") }
    self.pid = pid
  }

  @discardableResult
  func wait() -> Int32 {
    if let status { return status }
    var raw: Int32 = 0
    while waitpid(pid, &raw, 0) == -1 && errno == EINTR {}
    let status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F
    self.status = status
    return status
  }

  func end() {
    if status == nil {
      kill(pid, SIGTERM)
      wait()
    }
  }
}

/// A folder that goes when the benchmark ends.
final class Workspace {
  let path: String

  init(in parent: String) throws {
    var template = Array((parent + "/castore-bench.XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw BenchError("cannot make a folder in \(parent)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func remove() { Self.remove(path) }

  static func remove(_ path: String) {
    _ = try? shell("rm -rf -- \"$1\"", path)
  }
}

/// Prints rows as columns.
func printTable(_ rows: [[String]]) {
  let columns = rows.map(\.count).max() ?? 0
  let widths = (0..<columns).map { column in
    rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
  }
  for (index, row) in rows.enumerated() {
    let cells = row.enumerated().map { column, cell in
      let padding = String(repeating: " ", count: widths[column] - cell.count)
      return column == 0 ? cell + padding : padding + cell
    }
    print("| " + cells.joined(separator: " | ") + " |")
    if index == 0 {
      let rules = widths.enumerated().map {
        String(repeating: "-", count: $1 - ($0 == 0 ? 0 : 1)) + ($0 == 0 ? "" : ":")
      }
      print("| " + rules.joined(separator: " | ") + " |")
    }
  }
}
