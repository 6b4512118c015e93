import ArgumentParser
import CastoreFileSystem

/// How a store looks when it is mounted: the same for this kernel and for virtual machines.
struct FileSystemFlags: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: "Whether the root can be listed; default: yes for a local store."
  )
  var listRoot: Bool?

  @Flag(help: "Show digests as extended attributes.")
  var showXattr = false

  @Option(help: "Whose attribute names and digest text: tvix or snix.")
  var xattrNamespace = XattrNamespace.tvix

  @Option(help: "What all times are: 0 or 1 seconds after the epoch.")
  var mtime: UInt64 = 1

  @Option(help: ArgumentHelp("Who owns everything.", valueName: "uid:gid"))
  var owner = "0:0"

  // Before the store is opened: a wrong use is told apart from a store that is not there.
  func validate() throws {
    guard mtime <= 1 else { throw ValidationError("--mtime must be 0 or 1") }
    _ = try ownerNumbers()
  }

  private func ownerNumbers() throws -> (user: UInt32, group: UInt32) {
    let ids = owner.split(separator: ":", omittingEmptySubsequences: false).map { UInt32($0) }
    guard ids.count == 2, let user = ids[0], let group = ids[1] else {
      throw ValidationError("--owner: '\(owner)' is not UID:GID")
    }
    return (user, group)
  }

  /// The options that the flags stand for.
  ///
  /// - Parameter listsRoot: What holds where the user said nothing.
  func options(listsRoot: Bool) throws -> FileSystemOptions {
    let (user, group) = try ownerNumbers()
    var options = FileSystemOptions()
    options.listsRoot = listRoot ?? listsRoot
    options.extendedAttributes = showXattr ? xattrNamespace.namespace : nil
    options.modificationTime = mtime
    options.owner = (user, group)
    return options
  }
}

/// The families on the command line.
enum XattrNamespace: String, ExpressibleByArgument, CaseIterable {
  case tvix
  case snix

  var namespace: FileSystemOptions.ExtendedAttributeNamespace {
    switch self {
    case .tvix: .tvix
    case .snix: .snix
    }
  }
}
