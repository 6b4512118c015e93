import Castore
import CastoreNames
import CastoreTestSupport
import Foundation
import Testing

@Suite("Names that several processes have open", .serialized)
struct ProcessTests {
  let folder: TestFolder
  let path: String
  let torture: String

  init() throws {
    folder = try TestFolder(open: true)
    path = folder.sub("names")
    torture = try Shell.built("names-torture")
    try SQLiteNames.create(at: path, permissions: 0o644)
  }

  private func start(_ arguments: [String]) throws -> (process: Process, output: Pipe) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: torture)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    return (process, output)
  }

  private func lines(_ output: Pipe) -> [String] {
    let data = output.fileHandleForReading.readDataToEndOfFile()
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test("none of what two processes name at once is lost, and this one sees it")
  func together() throws {
    let names = try SQLiteNames(opening: path, isReadOnly: true)
    let before = try names.rootsVersion()
    let runs = try ["x", "y"].map { try start(["put", path, $0, "150"]) }
    var seen = 0
    while runs.contains(where: { $0.process.isRunning }) {
      let count = try names.references().count
      #expect(count >= seen)
      seen = count
    }
    for run in runs { #expect(lines(run.output).count == 150) }
    #expect(try names.references().count == 300)
    #expect(try names.rootsVersion() != before)
    #expect(try names.verify() == [])
  }

  @Test("of two processes that give one name, one does")
  func compareAndSet() throws {
    let runs = try (0..<3).map { _ in try start(["add", path, "100"]) }
    let won = runs.flatMap { lines($0.output) }
    for run in runs { run.process.waitUntilExit() }
    #expect(won.count == 100)
    #expect(Set(won).count == 100)
    #expect(try SQLiteNames(opening: path).counts().roots == 100)
  }

  @Test("whenever a process is killed, what it was told is durable is there, and all is whole")
  func killed() throws {
    let watcher = try SQLiteNames(opening: path, isReadOnly: true)
    var acknowledged: Set<String> = []
    for round in 0..<40 {
      let version = try watcher.rootsVersion()
      let run = try start(["put", path, "k\(round)", "100000"])
      // From before it opens the file to well into its writing.
      usleep(UInt32(round % 20) * 3000)
      kill(run.process.processIdentifier, SIGKILL)
      let told = lines(run.output).map { "k\(round)-\($0)" }
      run.process.waitUntilExit()
      acknowledged.formUnion(told)
      if !told.isEmpty { #expect(try watcher.rootsVersion() != version) }
      // Every other round the one who finds the mess is the first to open it.
      let names = try SQLiteNames(opening: path)
      let roots = Set(try names.references().map { String(decoding: $0.name, as: UTF8.self) })
      #expect(roots.isSuperset(of: acknowledged))
      // At most the one that was not told any more.
      #expect(roots.subtracting(acknowledged).count <= round + 1)
      #expect(try names.verify() == [])
      let seen = try watcher.rootsVersion()
      #expect(try names.rootsVersion() == seen)
    }
    #expect(acknowledged.count > 40)
  }

  @Test("killed while it makes the file, a process leaves none or a whole one")
  func killedCreating() throws {
    for round in 0..<30 {
      let path = folder.sub("c\(round)")
      let run = try start(["create", path])
      usleep(UInt32(round) * 400)
      kill(run.process.processIdentifier, SIGKILL)
      run.process.waitUntilExit()
      if FileManager.default.fileExists(atPath: path) {
        #expect(try SQLiteNames(opening: path).references().isEmpty)
      }
      try SQLiteNames.create(at: path)
      #expect(try SQLiteNames(opening: path).putRoot("a", node(1), replace: false) == nil)
    }
  }

  @Test("another user reads, and sees changes, while somebody writes and when nobody does")
  func otherUser() throws {
    let other = folder.sub("names-torture")
    try FileManager.default.copyItem(atPath: torture, toPath: other)
    func list() throws -> String { try Shell.run(other, ["as=65534", "list", path]).output }
    do {
      let names = try SQLiteNames(opening: path)
      try names.putRoot("a", node(1), replace: false)
      #expect(try list() == "1 \(names.rootsVersion())\n")
      try names.putRoot("b", node(2), replace: false)
      #expect(try list() == "2 \(names.rootsVersion())\n")
    }
    // Closed: no log any more, and no place where the other user could make one.
    #expect(!FileManager.default.fileExists(atPath: path + "-shm"))
    #expect(try list() == "2 2\n")
    #expect(!FileManager.default.fileExists(atPath: path + "-shm"))
    let refused = try Shell.run(other, ["as=65534", "put", path, "x", "1"])
    #expect(refused.code == 1)
    #expect(refused.output.hasPrefix("permissionDenied"), "\(refused.output)")
    #expect(refused.output.contains(path))
  }

  @Test("what a dead writer left in the log is read where nobody can write")
  func logOfTheDead() throws {
    let dead = folder.sub("dead")
    do {
      let names = try SQLiteNames(opening: path)
      for index in 0..<50 { try names.putRoot(name("r\(index)"), node(index), replace: false) }
      try copyNames(path, to: dead)
    }
    chmod(dead, 0o644)
    chmod(dead + "-wal", 0o644)
    let other = folder.sub("names-torture")
    try FileManager.default.copyItem(atPath: torture, toPath: other)
    for keepsIndex in [true, false] {
      if keepsIndex { chmod(dead + "-shm", 0o644) } else { unlink(dead + "-shm") }
      let list = try Shell.run(other, ["as=65534", "list", dead])
      #expect(list.output.hasPrefix("50 "), "\(list.output)")
    }
    // And of what the file says without its log, nothing is believed.
    unlink(dead + "-wal")
    let list = try Shell.run(other, ["as=65534", "list", dead])
    #expect(list.code == 1)
    #expect(list.output.hasPrefix("corrupt"), "\(list.output)")
  }
}
