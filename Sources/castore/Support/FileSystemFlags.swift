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

  @Option(
    help: """
      What all times are: 0 or 1 seconds after the epoch, or content: a time of its own for each \
      content, for roots that are pointed elsewhere while programs go by time and size.
      """
  )
  var mtime = MtimeWish.one

  @Option(
    help: """
      What inode numbers go by: content (equal content has equal numbers), or place (every place has \
      a number of its own, for cp, du, tar and compilers that take equal numbers for one file).
      """
  )
  var inodeNumbers = InodeNumbersWish.content

  @Option(help: ArgumentHelp("Who owns everything.", valueName: "uid:gid"))
  var owner = "0:0"

  // Before the store is opened: a wrong use is told apart from a store that is not there.
  func validate() throws {
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
    options.modificationTime = mtime.time
    options.inodeNumbers = inodeNumbers.numbering
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

/// The times on the command line.
enum MtimeWish: String, ExpressibleByArgument, CaseIterable {
  case zero = "0"
  case one = "1"
  case content

  var time: ModificationTime {
    switch self {
    case .zero: .seconds(0)
    case .one: .seconds(1)
    case .content: .content
    }
  }
}

/// What inode numbers go by on the command line.
enum InodeNumbersWish: String, ExpressibleByArgument, CaseIterable {
  case content
  case place

  var numbering: InodeNumbering {
    switch self {
    case .content: .content
    case .place: .place
    }
  }
}
