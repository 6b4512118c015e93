import Glibc

/// A generator that gives the same numbers each time.
struct Xorshift: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

/// What is done to a file system.
enum Workloads {
  /// Lists everything with its attributes, as `ls -lR` does.
  ///
  /// - Returns: The plain files below 64 KiB.
  @discardableResult
  static func walk(_ path: String) throws -> [String] {
    var small: [String] = []
    var pending = [path]
    while let folder = pending.popLast() {
      guard let directory = opendir(folder) else { throw BenchError("cannot open \(folder)") }
      defer { closedir(directory) }
      let descriptor = dirfd(directory)
      while let entry = readdir(directory) {
        try withUnsafePointer(to: &entry.pointee.d_name) {
          try $0.withMemoryRebound(to: CChar.self, capacity: 256) { name in
            if name[0] == 0x2E && (name[1] == 0 || (name[1] == 0x2E && name[2] == 0)) { return }
            var status = stat()
            guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
              throw BenchError("cannot look at \(folder)/\(String(cString: name))")
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: pending.append(folder + "/" + String(cString: name))
            case S_IFREG where status.st_size < 65536:
              small.append(folder + "/" + String(cString: name))
            default: break
            }
          }
        }
      }
    }
    return small
  }

  /// Opens, reads and closes files.
  static func readAll(_ files: [String]) throws {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: 65536, alignment: 4096)
    defer { buffer.deallocate() }
    for file in files {
      let descriptor = open(file, O_RDONLY)
      guard descriptor >= 0 else { throw BenchError("cannot open \(file)") }
      while read(descriptor, buffer, 65536) > 0 {}
      close(descriptor)
    }
  }

  /// Reads a file from its begin to its end, a mebibyte at a time.
  static func readSequentially(_ file: String) throws {
    let size = 1 << 20
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
    defer { buffer.deallocate() }
    let descriptor = open(file, O_RDONLY)
    guard descriptor >= 0 else { throw BenchError("cannot open \(file)") }
    defer { close(descriptor) }
    while true {
      let count = read(descriptor, buffer, size)
      guard count >= 0 else { throw BenchError("cannot read \(file)") }
      if count == 0 { return }
    }
  }

  /// Reads 4 KiB at random places.
  static func readRandomly(_ file: String, size: Int, times: Int) throws {
    let buffer = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
    defer { buffer.deallocate() }
    let descriptor = open(file, O_RDONLY)
    guard descriptor >= 0 else { throw BenchError("cannot open \(file)") }
    defer { close(descriptor) }
    // Without reading ahead: what is measured is the single read.
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM)
    var generator = Xorshift(state: 88_172_645_463_325_252)
    for _ in 0..<times {
      let block = Int(generator.next() % UInt64(size / 4096))
      guard pread(descriptor, buffer, 4096, block * 4096) == 4096 else {
        throw BenchError("cannot read \(file)")
      }
    }
  }
}
