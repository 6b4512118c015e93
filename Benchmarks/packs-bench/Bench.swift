import Glibc
import Packs
import Platform

/// Measures the index over packs, journals, and packs written past the page cache.
///
///     packs-bench index [OBJECTS [FOLDER]]     lookups in an index over so many objects, 10,000,000 unless said
///     packs-bench journal [FOLDER]             durable appends, against small packs
///     packs-bench write [TREE [FOLDER]]        a tree's files into packs, past the page cache and through it
@main
struct Bench {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    func argument(_ number: Int, or fallback: String) -> String {
      number < arguments.count ? arguments[number] : fallback
    }
    switch arguments.first {
    case "index":
      let folder = try BenchFolder(in: argument(2, or: "/var/tmp"))
      try measureIndex(of: Int(argument(1, or: "10000000")) ?? 10_000_000, folder)
    case "journal":
      try measureJournal(try BenchFolder(in: argument(1, or: "/var/tmp")))
    case "write":
      try measureWriting(argument(1, or: "/usr"), in: argument(2, or: "/var/tmp"))
    default:
      print(
        "usage: packs-bench index [OBJECTS [FOLDER]] | journal [FOLDER] | write [TREE [FOLDER]]"
      )
      exit(64)
    }
  }
}

/// A store's folders, gone with this object.
final class BenchFolder {
  let path: String

  init(in parent: String) throws {
    var template = Array((parent + "/packs-bench.XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw Errno.current }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    for name in ["packs", "tmp", "index"] where mkdir(path + "/" + name, 0o700) != 0 {
      throw Errno.current
    }
  }

  deinit {
    for name in ["packs", "tmp", "index"] {
      for file in names(name) { unlink("\(path)/\(name)/\(file)") }
      rmdir("\(path)/\(name)")
    }
    rmdir(path)
  }

  func names(_ folder: String) -> [String] { folderNames(path + "/" + folder) }

  func open(_ name: String, flags: CInt = O_RDONLY | O_DIRECTORY | O_CLOEXEC) throws
    -> OwnedDescriptor
  {
    let path = path + "/" + name
    return OwnedDescriptor(adopting: try retryingOnInterrupt { Glibc.open(path, flags) })
  }

  func bytes(_ name: String) throws -> FileBytes {
    try FileBytes(try open(name, flags: O_RDONLY | O_CLOEXEC), name: name)
  }

  func session(_ id: UInt64, _ options: PackSession.Options = .init()) throws -> PackSession {
    PackSession(id: id, temporary: try open("tmp"), packs: try open("packs"), options: options)
  }
}

/// What is in a folder, but for itself and its parent.
func folderNames(_ path: String) -> [String] {
  guard let stream = opendir(path) else { return [] }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}

/// Seconds that some work takes by the wall clock.
func seconds(_ work: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  let elapsed = try clock.measure { try work() }
  return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
}

/// A figure with one digit behind the point.
func short(_ value: Double) -> String {
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

/// The process's memory now, in MiB: all of it, and the part that is files'.
func residentMemory() -> String {
  guard let file = fopen("/proc/self/status", "r") else { return "?" }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, 256, file) != nil {
    let text = String(
      decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
      as: UTF8.self
    )
    if text.hasPrefix("VmHWM:"), let kilobytes = Int(text.filter(\.isNumber)) {
      return "\(kilobytes >> 10) MiB at most"
    }
  }
  return "?"
}
