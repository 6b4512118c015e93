import Foundation
import Glibc
import Testing

/// The `castore` binary of this build, with a store of the test's own.
struct Castore: Sendable {
  let scratch: Scratch
  /// The store's folder.
  let storePath: String

  /// Beside the test bundle, in the folder of the build.
  static let binary: String = {
    var folder =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    while folder.count > 1 {
      folder = (folder as NSString).deletingLastPathComponent
      if access(folder + "/castore", X_OK) == 0, folder.contains("/.build") {
        return folder + "/castore"
      }
    }
    return (#filePath as NSString).deletingLastPathComponent + "/../../../.build/debug/castore"
  }()

  init(_ scratch: Scratch, store: String? = nil) {
    self.scratch = scratch
    storePath = store ?? scratch.path + "/store"
  }

  /// Starts a command.
  func start(
    _ words: [any Word],
    through wrapper: [any Word] = [],
    folder: String? = nil,
    outputTo: CInt? = nil
  ) throws -> Child {
    try Child(
      wrapper + [Self.binary] + words,
      scratch: scratch,
      // The runtime's own way to die takes long, and reads its options from here.
      environment: ["CASTORE_STORE": "local:" + storePath, "SWIFT_BACKTRACE": "enable=no"],
      folder: folder,
      outputTo: outputTo
    )
  }

  /// Runs a command to its end.
  func run(_ words: any Word..., folder: String? = nil) throws -> Outcome {
    try start(words, folder: folder).wait()
  }

  /// Runs a command that must succeed.
  @discardableResult
  func succeed(
    _ words: any Word...,
    folder: String? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    let outcome = try start(words, folder: folder).wait()
    try #require(
      outcome.status == .exited(0),
      "\(words): \(outcome)",
      sourceLocation: sourceLocation
    )
    return outcome
  }

  /// Runs a command that must fail with status 1 and one line that holds all the words.
  @discardableResult
  func fail(
    _ words: any Word...,
    saying parts: [String],
    status: CInt = 1,
    folder: String? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    let outcome = try start(words, folder: folder).wait()
    #expect(outcome.status == .exited(status), "\(outcome)", sourceLocation: sourceLocation)
    for part in parts {
      #expect(
        outcome.errors.contains(part),
        "\(part) in: \(outcome.errors)",
        sourceLocation: sourceLocation
      )
    }
    if status == 1 {
      #expect(
        outcome.errors.split(separator: "\n").count == 1,
        "\(outcome.errors)",
        sourceLocation: sourceLocation
      )
    }
    return outcome
  }

  /// The names of the roots.
  func roots() throws -> [String] {
    try succeed("ls").lines
  }

  /// The bytes that the store takes on the disk.
  func diskUsage() throws -> Int {
    let text = try scratch.succeed("du", "-s", "--block-size=1", storePath).text
    return Int(text.prefix { $0.isNumber }) ?? -1
  }

  /// How many blobs have a file of their own.
  func blobFiles() throws -> Int {
    try scratch.succeed("find", storePath + "/blobs", "-type", "f").lines.count
  }

  /// Checks that the store opens, writes and holds nothing half done.
  func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let probe = try scratch.makeFolder("probe")
    let text = [UInt8]("probe \(probe)".utf8)
    try NastyTree.write(text, to: probe / "file")
    try succeed("import", "--name", "probe", probe, sourceLocation: sourceLocation)
    let back = try succeed("cat", "probe/file", sourceLocation: sourceLocation)
    #expect(back.output == text, sourceLocation: sourceLocation)
    try succeed("roots", "remove", "probe", sourceLocation: sourceLocation)
    // Every other root can be read to its last byte.
    for root in try roots() {
      let copy = scratch.newName("whole")
      try succeed("export", root, copy, sourceLocation: sourceLocation)
    }
    let left = try scratch.succeed("find", storePath + "/tmp", "-mindepth", "1")
    #expect(left.text.isEmpty, sourceLocation: sourceLocation)
  }
}

/// A store that is mounted by a process of its own.
final class MountedStore: Sendable {
  let path: String
  let process: Child
  private let scratch: Scratch

  /// Mounts.
  ///
  /// - Parameters:
  ///   - path: Where; a new folder by default.
  ///   - given: How that is written on the command line.
  ///   - folder: Where the command is given.
  ///   - wrapper: What starts it, with its first arguments.
  convenience init(
    _ castore: Castore,
    _ flags: any Word...,
    at path: String? = nil,
    givenAs given: String? = nil,
    from folder: String? = nil,
    through wrapper: [any Word] = []
  ) throws {
    try self.init(castore, flags: flags, at: path, as: given, from: folder, through: wrapper)
  }

  /// Mounts, with flags from a list.
  init(
    _ castore: Castore,
    flags: [any Word],
    at path: String? = nil,
    as given: String? = nil,
    from folder: String? = nil,
    through wrapper: [any Word] = []
  ) throws {
    scratch = castore.scratch
    self.path = try path ?? castore.scratch.makeFolder("mount")
    let process = try castore.start(
      ["mount"] + flags + [given ?? self.path],
      through: wrapper,
      folder: folder
    )
    self.process = process
    try waitUntil("the mount is there") {
      if !process.isRunning { throw CallError("mount: \(try process.wait())", 0) }
      return process.errors.contains(" mounted ")
    }
  }

  deinit {
    // A process that is killed leaves a dead mount.
    if process.isRunning { try? process.signal(SIGKILL) }
    if isMounted { umount2(path, CInt(MNT_DETACH)) }
  }

  var isMounted: Bool { !Scratch.mountPoints(below: path).isEmpty }

  /// Ends it as a user does.
  func unmount() throws -> Outcome {
    try process.signal(SIGTERM)
    return try process.wait()
  }

  /// How many requests of each sort the kernel has sent.
  func requestCounts() throws -> [String: Int] {
    let reports = { [process] in
      process.errors.split(separator: "\n").filter { $0.contains("requests: ") }
    }
    let before = reports().count
    try process.signal(SIGUSR1)
    try waitUntil("the counts are reported") { reports().count > before }
    let list = reports()[before].components(separatedBy: "requests: ")[1]
    var counts: [String: Int] = [:]
    for part in list.split(separator: ",") {
      let words = part.split(separator: " ")
      if words.count == 2 { counts[String(words[0])] = Int(words[1]) }
    }
    return counts
  }

  /// How many requests the kernel has sent since an earlier count, by sort.
  func requests(since before: [String: Int]) throws -> [String: Int] {
    var counts = try requestCounts()
    counts.merge(before) { $0 - $1 }
    return counts.filter { $0.value != 0 }
  }
}
