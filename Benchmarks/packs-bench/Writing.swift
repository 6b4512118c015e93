import Glibc
import Packs
import Platform

/// Writes the small files of a tree into packs and reads them back, past the page cache and through it.
func measureWriting(_ tree: String, in parent: String) throws {
  var paths: [String] = []
  var folders = [tree]
  while let folder = folders.popLast() {
    for name in folderNames(folder) {
      let path = folder + "/" + name
      var status = stat()
      guard lstat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR { folders.append(path) }
      if status.st_mode & S_IFMT == S_IFREG && status.st_size <= 1 << 20 { paths.append(path) }
    }
  }
  print("\(paths.count) files of at most 1 MiB")
  for _ in 0..<3 {
    for (name, cachedBytes) in [("direct", 0), ("cached", Int.max)] {
      let folder = try BenchFolder(in: parent)
      var options = PackSession.Options()
      options.cachedBytes = cachedBytes
      let session = try folder.session(1, options)
      var sealed: [SealedPack] = []
      let writing = try seconds {
        let writer = PackWriter(session)
        for (number, path) in paths.enumerated() {
          let file = open(path, O_RDONLY | O_CLOEXEC)
          if file < 0 { continue }
          defer { close(file) }
          var status = stat()
          fstat(file, &status)
          let place = try writer.reserve(min(Int(status.st_size), 1 << 20))
          let count = read(file, place.baseAddress, place.count)
          if count >= 0 { writer.commit(benchKey(number), kind: .blob, length: count) }
        }
        sealed = try writer.finish()
      }
      let bytes = sealed.reduce(0) { $0 + $1.reader.bytes.length }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { buffer.deallocate() }
      let reading = try seconds {
        for pack in sealed {
          for entry in pack.entries.sorted(by: { $0.at.place < $1.at.place }) {
            _ = try pack.reader.read(entry.at, into: buffer)
          }
        }
      }
      print(
        "\(name): \(bytes >> 20) MiB in \(sealed.count) packs, written and synced in \(short(writing)) s,"
          + " read at once in \(short(reading)) s"
      )
    }
  }
}
