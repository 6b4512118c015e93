import ArgumentParser

/// Whether there are the commands that help is wanted about: the parser of arguments shows what it knows
/// instead, and is content.
enum CommandNames {
  /// - Throws: If help is asked for about a command that there is not.
  static func check(_ arguments: [String]) throws {
    let isHelpCommand = arguments.first == "help"
    guard isHelpCommand || arguments.contains(where: { $0 == "--help" || $0 == "-h" }) else {
      return
    }
    var command: any ParsableCommand.Type = CastoreCommand.self
    var path = CastoreCommand._commandName
    for word in arguments.dropFirst(isHelpCommand ? 1 : 0) where !word.hasPrefix("-") {
      let subcommands = command.configuration.subcommands
      // What follows the name of a command that does something is that command's business.
      if subcommands.isEmpty && !isHelpCommand { return }
      guard let next = subcommands.first(where: { $0._commandName == word }) else {
        throw ValidationError("there is no command '\(path) \(word)'; see '\(path) --help'")
      }
      command = next
      path += " " + word
    }
  }
}
