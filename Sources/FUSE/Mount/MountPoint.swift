internal import Glibc
internal import Platform

/// A directory to mount on, as an absolute path that was resolved once: the working directory and
/// links may change later.
struct MountPoint {
  let path: String
  var bytes: [UInt8] { Array(path.utf8) }

  /// Resolves the path and clears away what a crashed server left there.
  init(_ given: String) throws(MountError) {
    guard let resolved = realpath(given, nil) else {
      let error = Errno.current
      // A dead mount may refuse even this much; the folder around it does not.
      guard error.code == ENOTCONN, let guess = Self.resolveParent(of: given) else {
        throw .mountPoint(path: given, error)
      }
      path = guess
      try clear()
      return
    }
    path = String(cString: resolved)
    free(resolved)
    try clear()
    var status = stat()
    guard stat(path, &status) == 0 else { throw .mountPoint(path: path, Errno.current) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw .mountPoint(path: path, Errno(ENOTDIR)) }
  }

  /// Refuses a place where a mount would hide something.
  func requireEmpty() throws(MountError) {
    // Asked first: a file system of others may take its time, and need not let itself be listed.
    if let top = try? MountTable.current().top(at: bytes), top.type.hasPrefix("fuse") {
      throw .occupied(path: path, .mount)
    }
    // One that cannot be read, but mounted at, is taken for empty.
    guard let folder = opendir(path) else { return }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
      let isSelfOrParent = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 3) { name in
          name[0] == 0x2E && (name[1] == 0 || name[1] == 0x2E && name[2] == 0)
        }
      }
      if !isSelfOrParent { throw .occupied(path: path, .files) }
    }
  }

  /// The path with all but its last part resolved.
  private static func resolveParent(of given: String) -> String? {
    let parts = given.utf8.split(separator: UInt8(ascii: "/"))
    guard let last = parts.last, !last.elementsEqual(".".utf8), !last.elementsEqual("..".utf8)
    else {
      return nil
    }
    let parent = given.utf8[..<last.startIndex]
    guard let resolved = realpath(parent.isEmpty ? "." : String(parent), nil) else { return nil }
    defer { free(resolved) }
    let folder = String(cString: resolved)
    return (folder == "/" ? "" : folder) + "/" + (String(last) ?? "")
  }

  /// Detaches FUSE mounts at the path whose server is gone.
  private func clear() throws(MountError) {
    for _ in 0..<64 {
      guard let top = try? MountTable.current().top(at: bytes), top.type.hasPrefix("fuse"),
        isDead()
      else { return }
      if umount2(path, Int32(MNT_DETACH) | Int32(UMOUNT_NOFOLLOW)) == -1 {
        let error = Errno.current
        guard error.code == EPERM else { throw .mountPoint(path: path, error) }
        try Helper.unmount(bytes, lazily: true)
      }
    }
  }

  /// Asks for something that is never cached: `stat(2)` of a dead root may still succeed.
  private func isDead() -> Bool {
    var status = statvfs()
    return statvfs(path, &status) == -1 && [ENOTCONN, ECONNABORTED].contains(errno)
  }
}
