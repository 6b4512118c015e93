import Glibc
import Testing

/// Compares a tree with its source from outside: names, kinds, modes, sizes, link targets, bytes.
struct TreeComparison {
  /// The permissions that files, executable files and folders must have.
  var file: mode_t
  var executable: mode_t
  var folder: mode_t

  /// As a mount shows them.
  static let mounted = TreeComparison(file: 0o444, executable: 0o555, folder: 0o555)

  /// As export writes them.
  static func exported() throws -> TreeComparison {
    // umask(2) cannot be asked without changing it for all threads.
    let status = String(decoding: try readAll("/proc/self/status"), as: UTF8.self)
    let line = status.split(separator: "\n").first { $0.hasPrefix("Umask:") }
    let mask = line.flatMap { mode_t($0.dropFirst(6).drop { $0 == "\t" }, radix: 8) } ?? 0o022
    return TreeComparison(file: 0o644 & ~mask, executable: 0o755 & ~mask, folder: 0o755 & ~mask)
  }

  private static let chunk = 1 << 20

  /// Records an issue for what differs.
  ///
  /// - Returns: How many entries were compared.
  @discardableResult
  func expectEqual(
    _ source: any Word,
    _ copy: any Word,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Int {
    var found: [String] = []
    var count = 0
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * Self.chunk, alignment: 4096)
    defer { memory.deallocate() }
    var waiting: [[UInt8]] = [[]]
    while let path = waiting.popLast(), found.count < 10 {
      let left = path.isEmpty ? source.bytes : source.bytes + path
      let right = path.isEmpty ? copy.bytes : copy.bytes + path
      func differs(_ what: String) {
        found.append("\(String(decoding: path, as: UTF8.self)): \(what)")
      }
      count += 1
      let (a, b) = (try status(left), try? status(right))
      guard let b else {
        differs("missing")
        continue
      }
      guard a.st_mode & S_IFMT == b.st_mode & S_IFMT else {
        differs("kind \(String(a.st_mode, radix: 8)), \(String(b.st_mode, radix: 8))")
        continue
      }
      switch a.st_mode & S_IFMT {
      case S_IFDIR:
        if b.st_mode & 0o7777 != folder { differs("mode \(String(b.st_mode, radix: 8))") }
        let names = try names(in: left).sorted { $0.lexicographicallyPrecedes($1) }
        let others = try self.names(in: right).sorted { $0.lexicographicallyPrecedes($1) }
        if names != others {
          differs("\(names.count) names, \(others.count) names")
        }
        for name in names { waiting.append(path / name) }
      case S_IFLNK:
        if try target(left) != target(right) { differs("target") }
        if b.st_size != a.st_size { differs("length of the target") }
      default:
        let mode = a.st_mode & 0o100 == 0 ? file : executable
        if b.st_mode & 0o7777 != mode { differs("mode \(String(b.st_mode, radix: 8))") }
        if a.st_size != b.st_size {
          differs("\(a.st_size) bytes, \(b.st_size) bytes")
        } else if a.st_size > 0, try !contentsEqual(left, right, a.st_size, memory) {
          differs("contents")
        }
      }
    }
    #expect(found.isEmpty, sourceLocation: sourceLocation)
    return count
  }

  private func status(_ path: [UInt8]) throws -> stat {
    var status = stat()
    try path.withCPath { _ = try check(lstat($0, &status), "lstat") }
    return status
  }

  private func target(_ path: [UInt8]) throws -> [UInt8] {
    var buffer = [CChar](repeating: 0, count: 5000)
    let count = try path.withCPath { try check(readlink($0, &buffer, buffer.count), "readlink") }
    return buffer[..<count].map { UInt8(bitPattern: $0) }
  }

  private func names(in path: [UInt8]) throws -> [[UInt8]] {
    try listNames(path).filter { $0 != ".".bytes && $0 != "..".bytes }
  }

  private func contentsEqual(
    _ left: [UInt8],
    _ right: [UInt8],
    _ size: off_t,
    _ memory: UnsafeMutableRawBufferPointer
  ) throws -> Bool {
    let a = try left.withCPath { try check(open($0, O_RDONLY | O_CLOEXEC), "open") }
    defer { close(a) }
    let b = try right.withCPath { try check(open($0, O_RDONLY | O_CLOEXEC), "open") }
    defer { close(b) }
    let (base, other) = (
      try #require(memory.baseAddress), try #require(memory.baseAddress) + Self.chunk
    )
    var place: off_t = 0
    while true {
      // Where both are known to have a hole there is nothing to compare.
      if size > 64 << 20 {
        let skip = min(nextData(a, place, size), nextData(b, place, size))
        if skip > place {
          place = skip
          if place == size { return true }
        }
      }
      let count = try check(pread(a, base, Self.chunk, place), "read the source")
      var got = 0
      while got < max(count, 1) {
        let more = try check(pread(b, other + got, Self.chunk - got, place + got), "read the copy")
        if more == 0 { break }
        got += more
      }
      if got != count || memcmp(base, other, count) != 0 { return false }
      if count == 0 { return place == size }
      place += off_t(count)
    }
  }

  private func nextData(_ file: CInt, _ place: off_t, _ size: off_t) -> off_t {
    // SEEK_DATA
    let found = lseek(file, place, 3)
    if found >= 0 { return found }
    return errno == ENXIO ? size : place
  }
}

/// The names in a folder in the order of `readdir(3)`.
func listNames(_ path: any Word) throws -> [[UInt8]] {
  guard let directory = path.bytes.withCPath({ opendir($0) }) else { throw CallError("opendir") }
  defer { closedir(directory) }
  var names: [[UInt8]] = []
  while true {
    errno = 0
    guard let entry = readdir(directory) else {
      if errno != 0 { throw CallError("readdir") }
      return names
    }
    names.append(nameBytes(entry))
  }
}

/// The name of an entry of a folder.
func nameBytes(_ entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
  // The record may be shorter than its type: only what stands before the NUL byte is there.
  guard let place = MemoryLayout<dirent>.offset(of: \.d_name) else { return [] }
  let name = UnsafeRawPointer(entry) + place
  return [UInt8](
    UnsafeRawBufferPointer(start: name, count: strlen(name.assumingMemoryBound(to: CChar.self)))
  )
}
