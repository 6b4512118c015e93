import ArgumentParser
import Platform

/// Long runs of arguments, folded into one each for the parser of arguments: it looks at all of them for
/// every one that it takes, which for a hundred thousand paths is minutes.
enum ArgumentRuns {
  private static let runs = Guarded<[ArraySlice<String>]>([])
  /// The names of commands and what belongs to an option may stand at the beginning of a run.
  private static let unfolded = 8
  private static let shortest = 256

  /// The arguments with a stand-in for what is long, from which `values(of:)` makes them again.
  static func fold(_ arguments: [String]) -> [String] {
    guard arguments.count > shortest else { return arguments }
    var result: [String] = []
    var start = 0
    var isEveryOneValue = false
    while start < arguments.count {
      var end = start
      while end < arguments.count, isEveryOneValue || isValue(arguments[end]) { end += 1 }
      if end - start > shortest {
        let first = start + unfolded
        result += arguments[start..<first]
        result.append(standIn(for: arguments[first..<end]))
      } else {
        result += arguments[start..<end]
      }
      if end < arguments.count {
        result.append(arguments[end])
        isEveryOneValue = arguments[end] == "--"
      }
      start = end + 1
    }
    return result
  }

  /// The arguments that one of the folded ones stands for.
  static func values(of argument: String) -> ArraySlice<String> {
    // No argument of a process holds a NUL.
    guard let mark = argument.lastIndex(of: "\0"),
      let number = Int(argument[argument.index(after: mark)...])
    else { return [argument] }
    return runs.withLock { $0.indices.contains(number) ? $0[number] : [argument] }
  }

  private static func isValue(_ argument: String) -> Bool {
    !argument.utf8.starts(with: "-".utf8) || argument == "-"
  }

  /// For messages it is what it stands for.
  private static func standIn(for run: ArraySlice<String>) -> String {
    let number = runs.withLock { runs in
      runs.append(run)
      return runs.count - 1
    }
    return "\(run.first ?? "") ... \(run.last ?? "")\0\(number)"
  }
}

/// One of a command's repeated arguments, or many at once.
struct Arguments<Element: ExpressibleByArgument>: ExpressibleByArgument {
  let values: [Element]

  init?(argument: String) {
    var values: [Element] = []
    for text in ArgumentRuns.values(of: argument) {
      guard let value = Element(argument: text) else { return nil }
      values.append(value)
    }
    self.values = values
  }
}
