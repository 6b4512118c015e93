import Glibc
import NixCompat

/// Builds and walks trees with system calls alone: Foundation cannot name every file.
enum TreeOnDisk {
  struct Failure: Error {
    let call: String
    let code: CInt
  }

  /// Makes a tree of everything that is easily got wrong.
  static func buildNastyTree(at root: String) throws {
    let root = Array(root.utf8)
    func path(_ name: [UInt8]) -> [UInt8] { root + [UInt8(ascii: "/")] + name }
    func path(_ name: String) -> [UInt8] { path(Array(name.utf8)) }
    try makeFolder(root)
    try makeFolder(path("empty folder"))
    for count in [0, 1, 7, 8, 9, 4095, 4096, 65_536, 100_001] {
      let contents = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      try makeFile(path("file-\(count)"), contents)
      try makeFile(path("executable-\(count)"), contents, mode: 0o755)
    }
    // Only the owner's bit makes a file executable.
    try makeFile(path("group-executable"), [1], mode: 0o654)
    // Bytes compare as unsigned, and a prefix comes first.
    for name in ["a", "a.", "a-", "a0", "aa", "B", "ä", "名", "line\nbreak", "tab\t", "~", "..."] {
      try makeFile(path(name), Array(name.utf8))
    }
    try makeFile(path([0xff, 0xfe, 0x80]), [0])
    try makeFile(path([UInt8](repeating: UInt8(ascii: "n"), count: 255)), [0])
    try makeLink(path("dangling"), to: Array("/nowhere/at/all".utf8))
    try makeLink(path("not UTF-8"), to: [0xff, 0x01])
    try makeLink(path("long link"), to: [UInt8](repeating: UInt8(ascii: "t"), count: 4095))
    var deep = path("deep")
    for level in 0..<40 {
      try makeFolder(deep)
      try makeLink(deep + Array("/zz-link".utf8), to: Array("..".utf8))
      deep += Array("/level-\(level)".utf8)
    }
  }

  /// Writes the tree below a path as events and contents.
  static func write<Sink: ByteSink & ~Copyable>(
    _ path: [UInt8],
    to writer: inout NARWriter<Sink>
  ) throws {
    var status = stat()
    try check("lstat", lstat(terminated(path), &status))
    switch status.st_mode & S_IFMT {
    case S_IFDIR:
      try writer.write(.directoryStart)
      for name in try names(in: path) {
        try writer.write(.entry(name: name))
        try write(path + [UInt8(ascii: "/")] + name, to: &writer)
      }
      try writer.write(.directoryEnd)
    case S_IFLNK:
      let capacity = 8192
      var target = [CChar](repeating: 0, count: capacity)
      let count = readlink(terminated(path), &target, capacity)
      try check("readlink", CInt(count))
      try writer.write(.symlink(target: target.prefix(count).map { UInt8(bitPattern: $0) }))
    default:
      let descriptor = open(terminated(path), O_RDONLY)
      try check("open", descriptor)
      defer { close(descriptor) }
      var source = ClosureByteSource { buffer in
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        try check("read", CInt(count))
        return count
      }
      try writer.writeFile(
        size: UInt64(status.st_size),
        isExecutable: status.st_mode & S_IXUSR != 0,
        from: &source
      )
    }
  }

  private static func names(in path: [UInt8]) throws -> [[UInt8]] {
    guard let folder = opendir(terminated(path)) else {
      throw Failure(call: "opendir", code: errno)
    }
    defer { closedir(folder) }
    var names: [[UInt8]] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: UInt8.self, capacity: 256) { bytes in
          Array(UnsafeBufferPointer(start: bytes, count: strlen(name)))
        }
      }
      if name != Array(".".utf8), name != Array("..".utf8) { names.append(name) }
    }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  private static func makeFolder(_ path: [UInt8]) throws {
    try check("mkdir", mkdir(terminated(path), 0o755))
  }

  private static func makeLink(_ path: [UInt8], to target: [UInt8]) throws {
    try check("symlink", symlink(terminated(target), terminated(path)))
  }

  private static func makeFile(_ path: [UInt8], _ contents: [UInt8], mode: mode_t = 0o644) throws {
    let descriptor = open(terminated(path), O_WRONLY | O_CREAT | O_EXCL, 0o600)
    try check("open", descriptor)
    defer { close(descriptor) }
    let count = contents.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    guard count == contents.count else { throw Failure(call: "write", code: errno) }
    try check("fchmod", fchmod(descriptor, mode))
  }

  private static func terminated(_ path: [UInt8]) -> [CChar] {
    path.map { CChar(bitPattern: $0) } + [0]
  }

  private static func check(_ call: String, _ result: CInt) throws {
    guard result >= 0 else { throw Failure(call: call, code: errno) }
  }
}
