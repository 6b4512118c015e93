import CLinux
import Castore
import CastoreFileSystem
import CastoreStorage
import CastoreTestSupport
import FUSE
import Foundation
import Platform
import Testing

/// `struct file_handle`: room for bytes, their kind, and they themselves.
private struct FileHandle {
  private var bytes = [UInt8](repeating: 0, count: 8 + 128)

  init(_ path: String) throws {
    bytes[0] = 128
    var mount: CInt = 0
    let code = bytes.withUnsafeMutableBytes {
      name_to_handle_at(AT_FDCWD, path, OpaquePointer($0.baseAddress), &mount, 0)
    }
    guard code == 0 else { throw CallError(code: errno) }
  }

  /// One that was never handed out.
  var garbled: FileHandle {
    var copy = self
    for index in 8..<24 { copy.bytes[index] ^= 0x55 }
    return copy
  }

  func open(_ anchor: CInt, _ flags: CInt = O_RDONLY) throws -> CInt {
    var copy = bytes
    let file = copy.withUnsafeMutableBytes {
      open_by_handle_at(anchor, OpaquePointer($0.baseAddress), flags)
    }
    guard file >= 0 else { throw CallError(code: errno) }
    return file
  }
}

@Suite("File handles and exports", .serialized, .timeLimit(.minutes(5)))
struct ExportTests {
  private static let paths: [DataPath] = [.cached, .passthrough]

  /// Three levels, with equal files at several places.
  private func fixture(
    _ dataPath: DataPath,
    _ inodeNumbers: InodeNumbering = .content
  ) async throws -> StoreFixture {
    let fixture = try StoreFixture(dataPath) { $0.inodeNumbers = inodeNumbers }
    let large = try await fixture.add("large", pattern(2_500_000, seed: 9))
    let small = try await fixture.add("small", pattern(5000, seed: 3))
    try await fixture.addDirectory("empty", [])
    let link = Node.symlink(target: SymlinkTarget("small"))
    try await fixture.addDirectory("inner", [("large", large), ("link", link), ("small", small)])
    let inner = try #require(try fixture.store.nodeLocal(named: PathComponent("inner")))
    let empty = try #require(try fixture.store.nodeLocal(named: PathComponent("empty")))
    try await fixture.addDirectory("middle", [("a", small), ("empty", empty), ("inner", inner)])
    let middle = try #require(try fixture.store.nodeLocal(named: PathComponent("middle")))
    try await fixture.addDirectory("tree", [("a", small), ("middle", middle), ("z", large)])
    return fixture
  }

  /// Makes the kernel forget all that nobody uses.
  private func dropCaches(_ fixture: StoreFixture) async throws {
    for _ in 0..<200 {
      try await onThread { () throws in
        let file = open("/proc/sys/vm/drop_caches", O_WRONLY)
        defer { close(file) }
        _ = write(file, "3\n", 2)
      }
      // The kernel sends what it forgets when it comes to it.
      if fixture.fileSystem.nodeCount == 0 { return }
      try await Task.sleep(for: .milliseconds(50))
    }
    Issue.record("\(fixture.fileSystem.nodeCount) nodes are left")
  }

  @Test(
    "file handles open what they were made of, long after the kernel has forgotten it",
    arguments: paths
  )
  func handles(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    let root = fixture.path
    let places = [
      "", "/tree", "/tree/middle", "/tree/middle/inner", "/tree/middle/empty", "/tree/a", "/large",
      "/tree/middle/inner/large", "/tree/middle/inner/small", "/tree/middle/inner/link", "/tree/z",
    ]
    let handles = try await onThread {
      try places.map { (try FileHandle(root + $0), try lstat(root + $0)) }
    }
    try await dropCaches(fixture)
    for (place, (handle, before)) in zip(places, handles) {
      try await onThread { () throws in
        let anchor = open(root, O_RDONLY | O_DIRECTORY)
        defer { close(anchor) }
        let isLink = before.st_mode & S_IFMT == S_IFLNK
        let file = try handle.open(anchor, isLink ? CInt(CLinux_O_PATH) : O_RDONLY)
        defer { close(file) }
        var after = stat()
        #expect(fstat(file, &after) == 0)
        #expect(after.st_ino == before.st_ino && after.st_mode == before.st_mode, "\(place)")
        #expect(after.st_size == before.st_size)
        if before.st_mode & S_IFMT == S_IFREG {
          let bytes = try readFile("/proc/self/fd/\(file)")
          #expect(
            bytes == (bytes.count == 5000 ? pattern(5000, seed: 3) : pattern(2_500_000, seed: 9))
          )
        } else if !isLink {
          // The kernel has found its way up.
          let path = try FileManager.default.destinationOfSymbolicLink(
            atPath: "/proc/self/fd/\(file)"
          )
          #expect(path == root + place)
          #expect(try names(path) == names("/proc/self/fd/\(file)"))
        }
        // What was never handed out is stale, not a crash.
        if !place.isEmpty {
          #expect(throws: CallError(code: ESTALE)) { try handle.garbled.open(anchor) }
        }
      }
      try await dropCaches(fixture)
    }
  }

  @Test("handles of equal directories side by side last where inode numbers go by place")
  func twins() async throws {
    let fixture = try await fixture(.cached, .place)
    let inner = try #require(try fixture.store.nodeLocal(named: PathComponent("inner")))
    try await fixture.addDirectory("twins", [("a", inner), ("b", inner)])
    let root = fixture.path
    let places = ["/twins/a", "/twins/b"]
    let handles = try await onThread { try places.map { try FileHandle(root + $0) } }
    try await dropCaches(fixture)
    for (place, handle) in zip(places, handles) {
      try await onThread { () throws in
        let anchor = open(root, O_RDONLY | O_DIRECTORY)
        defer { close(anchor) }
        let file = try handle.open(anchor)
        defer { close(file) }
        let link = "/proc/self/fd/\(file)"
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == root + place)
      }
      try await dropCaches(fixture)
    }
  }

  @Test("NFS shows every byte, also of what the kernel has forgotten since it was opened")
  func nfs() async throws {
    let fixture = try await fixture(.cached)
    let server = try await NFSServer(exporting: fixture.path, in: fixture.folder)
    func walk() async throws -> String {
      try await onThread { () throws -> String in
        try Shell.run("/usr/bin/nfs-ls", ["-R", server.url("")]).output
      }
    }
    let first = try await walk()
    #expect(first.contains("large") && first.contains("inner"), "\(first)\(server.log)")
    for _ in 0..<2 {
      for (name, bytes) in [
        ("tree/middle/inner/large", pattern(2_500_000, seed: 9)), ("small", pattern(5000, seed: 3)),
      ] {
        let target = fixture.folder.sub("copy")
        let outcome = try await onThread { () throws -> Shell.Outcome in
          try Shell.script("nfs-cat \"$1\" >\"$2\"", server.url("/" + name), target)
        }
        #expect(outcome.code == 0, "\(outcome.output)\(server.log)")
        #expect(try readFile(target) == bytes)
      }
      #expect(try await walk() == first)
      // The server holds handles of all this, and the kernel none of the nodes.
      try await dropCaches(fixture)
    }
  }

  @Test("an idmapped bind mount shows other owners", arguments: paths)
  func idmapped(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    let script = """
      import ctypes, os, subprocess, sys
      source, target = sys.argv[1].encode(), sys.argv[2].encode()
      libc = ctypes.CDLL(None, use_errno=True)
      def call(number, *arguments):
          result = libc.syscall(number, *arguments)
          if result < 0: sys.exit("%d: %s" % (number, os.strerror(ctypes.get_errno())))
          return result
      # A user namespace with the map, held by a process that waits.
      holder = subprocess.Popen(["unshare", "--user", "cat"], stdin=subprocess.PIPE)
      own = os.readlink("/proc/self/ns/user")
      while os.readlink("/proc/%d/ns/user" % holder.pid) == own: pass
      for kind in "uid", "gid":
          with open("/proc/%d/%s_map" % (holder.pid, kind), "w") as file: file.write("0 1234 1")
      users = os.open("/proc/%d/ns/user" % holder.pid, os.O_RDONLY)
      # open_tree(OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_IDMAP), move_mount(MOVE_MOUNT_F_EMPTY_PATH)
      tree = call(428, -100, source, 1 | os.O_CLOEXEC)
      attributes = (ctypes.c_uint64 * 4)(0x100000, 0, 0, users)
      call(442, tree, b"", 0x1000, attributes, ctypes.sizeof(attributes))
      call(429, tree, b"", -100, target, 4)
      holder.stdin.close()
      """
    try await onThread { () throws in
      let outcome = try Shell.script(
        """
        mkdir "$1/bound"
        python3 -c "$2" "$1/mnt/tree" "$1/bound"
        trap 'umount "$1/bound"' EXIT
        stat -c '%u %g' "$1/bound" "$1/bound/a" "$1/bound/middle/inner/link" "$1/mnt/tree/a"
        diff -r "$1/mnt/tree" "$1/bound"
        """,
        fixture.folder.path,
        script
      )
      #expect(
        outcome.code == 0 && outcome.output == "1234 1234\n1234 1234\n1234 1234\n0 0\n",
        "\(outcome.output)"
      )
    }
  }

  @Test("holes that the store keeps are found", arguments: paths)
  func holes(dataPath: DataPath) async throws {
    let fixture = try StoreFixture(dataPath)
    let mebibyte = 1 << 20
    var bytes = [UInt8](repeating: 0, count: 5 * mebibyte)
    bytes.replaceSubrange(mebibyte..<2 * mebibyte, with: pattern(mebibyte))
    bytes.replaceSubrange(3 * mebibyte..<4 * mebibyte, with: pattern(mebibyte))
    let image = try await fixture.add("image", bytes)
    try await fixture.add("small", pattern(5000))
    // As long as it says it is not: then nothing is known of its holes.
    guard case .file(let digest, let size, _) = image else { return }
    try fixture.store.setRoot(
      PathComponent("longer"),
      to: .file(digest: digest, size: size + 1, isExecutable: false)
    )
    let (root, content) = (fixture.path, bytes)
    try await onThread { () throws in
      func seek(_ name: String, _ offset: Int, _ whence: CInt) -> Int {
        let file = open("\(root)/\(name)", O_RDONLY)
        defer { close(file) }
        let found = lseek(file, offset, whence)
        return found < 0 ? -Int(errno) : found
      }
      let (data, hole) = (CLinux_SEEK_DATA, CLinux_SEEK_HOLE)
      #expect(seek("image", 0, data) == mebibyte)
      #expect(seek("image", 0, hole) == 0)
      #expect(seek("image", mebibyte, hole) == 2 * mebibyte)
      #expect(seek("image", 2 * mebibyte, data) == 3 * mebibyte)
      #expect(seek("image", 3 * mebibyte + 5, data) == 3 * mebibyte + 5)
      #expect(seek("image", 4 * mebibyte, data) == -Int(ENXIO))
      #expect(seek("image", 4 * mebibyte, hole) == 4 * mebibyte)
      #expect(seek("image", 5 * mebibyte, hole) == -Int(ENXIO))
      #expect(seek("image", 9 * mebibyte, data) == -Int(ENXIO))
      #expect(seek("small", 7, data) == 7)
      #expect(seek("small", 7, hole) == 5000)
      #expect(seek("small", 5000, data) == -Int(ENXIO))
      #expect(seek("longer", 0, data) == 0)
      #expect(seek("longer", 0, hole) == 5 * mebibyte + 1)
      #expect(seek("image", 0, SEEK_END) == 5 * mebibyte)
      #expect(try readFile(root + "/image") == content)
    }
  }
}
