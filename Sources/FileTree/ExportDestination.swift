internal import CLinux
internal import Castore
internal import Glibc
internal import Platform

/// The place where an exported tree is to stand, and the name under which it is built.
struct ExportDestination {
  /// The folder that both names are in.
  let parent: FolderHandle
  let name: PathComponent
  let draft: PathComponent
  private let path: String

  /// Opens the folder around a path and makes sure that there is nothing at the path.
  init(_ path: [UInt8]) throws(ServiceError) {
    self.path = escaped(path)
    let slash = UInt8(ascii: "/")
    var end = path.count
    while end > 1 && path[end - 1] == slash { end -= 1 }
    let trimmed = path[..<end]
    let start = trimmed.lastIndex(of: slash).map { $0 + 1 } ?? 0
    let folder = start == 0 ? [UInt8(ascii: ".")] : [UInt8](trimmed[..<start])
    do throws(PathComponentError) {
      name = try PathComponent([UInt8](trimmed[start...]))
      let number = UInt64.random(in: 0 ... .max)
      draft = try PathComponent(".castore-export-\(getpid())-\(String(number, radix: 36))")
    } catch {
      throw ServiceError(.invalidArgument, "cannot export to \"\(self.path)\": \(error)")
    }
    if path.contains(0) {
      throw ServiceError(.invalidArgument, "cannot export to \"\(self.path)\": it holds a NUL byte")
    }
    do throws(Errno) {
      let cFolder = folder.map { CChar(bitPattern: $0) } + [0]
      parent = try FolderHandle(
        adopting: try retryingOnInterrupt {
          open(cFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
      )
    } catch {
      throw ServiceError.system(error, "open the folder around \(self.path)")
    }
    var status = stat()
    let number = parent.number
    let code = name.withCString { fstatat(number, $0, &status, AT_SYMLINK_NOFOLLOW) }
    if code == 0 { throw existsError }
    if errno != ENOENT { throw ServiceError.system(.current, "look at \(self.path)") }
  }

  /// Gives the finished tree its name, unless somebody has taken it meanwhile.
  func publish() throws(ServiceError) {
    let number = parent.number
    let error = draft.withCString { draft in
      name.withCString { name -> Errno? in
        let flags = UInt32(CLinux_RENAME_NOREPLACE)
        if renameat2(number, draft, number, name, flags) == 0 { return nil }
        // Not every file system knows the flag.
        guard Errno.current.meansUnavailable else { return .current }
        var status = stat()
        if fstatat(number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return Errno(EEXIST) }
        return renameat(number, draft, number, name) == 0 ? nil : .current
      }
    }
    guard let error else { return }
    if error.code == EEXIST { throw existsError }
    throw ServiceError.system(error, "write \(path)")
  }

  /// Removes what was built. Errors leave it there: there is an error to report already.
  func removeDraft() {
    let number = parent.number
    if draft.withCString({ unlinkat(number, $0, 0) }) == 0 { return }
    guard let root = try? parent.open(draft) else { return }
    removeContents(of: root)
    _ = draft.withCString { unlinkat(number, $0, AT_REMOVEDIR) }
  }

  /// Empties a folder, however deep: subfolders are moved up beside each other, then emptied in turn.
  private func removeContents(of root: FolderHandle) {
    var moved: UInt64 = 0
    while let names = try? Self.names(in: root), !names.isEmpty {
      var hasRemoved = false
      for name in names {
        if Self.remove(name, from: root) {
          hasRemoved = true
          continue
        }
        guard let folder = try? root.open(name), let inner = try? Self.names(in: folder) else {
          continue
        }
        for innerName in inner where !Self.remove(innerName, from: folder) {
          moved += 1
          guard let newName = try? PathComponent(".moved-\(moved)") else { continue }
          _ = innerName.withCString { old in
            newName.withCString { renameat(folder.number, old, root.number, $0) }
          }
        }
        hasRemoved = Self.remove(name, from: root) || hasRemoved
      }
      if !hasRemoved { return }
    }
  }

  private static func remove(_ name: PathComponent, from folder: FolderHandle) -> Bool {
    name.withCString { name in
      unlinkat(folder.number, name, 0) == 0 || unlinkat(folder.number, name, AT_REMOVEDIR) == 0
    }
  }

  private static func names(in folder: FolderHandle) throws -> [PathComponent] {
    var reader = try FolderReader(folder)
    var names: [PathComponent] = []
    while let entry = try reader.next() { names.append(try PathComponent(entry.name)) }
    return names
  }

  private var existsError: ServiceError {
    ServiceError(.invalidArgument, "\(path) exists already; export writes over nothing")
  }
}
