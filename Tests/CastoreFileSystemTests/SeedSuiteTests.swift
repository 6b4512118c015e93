import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Testing

/// The suite of the systems whose formats we speak (interop reference 4.5), case by case.
@Suite("The seed systems' file system suite, through a real mount")
struct SeedSuiteTests {
  @Test("an empty file system mounts and unmounts", arguments: RootsKind.allCases)
  func mount(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    let entries = try await onThread { try names(fixture.path) }
    #expect(entries.isEmpty)
    _ = try fixture.mount.unmount()
    #expect(fixture.mount.end == .unmounted)
  }

  @Test(
    "a root that is not to be listed answers EPERM, and known names work",
    arguments: RootsKind.allCases
  )
  func rootWithoutListing(kind: RootsKind) async throws {
    var options = FileSystemOptions()
    options.listsRoot = false
    let fixture = try MountedFixture(rootsKind: kind, options: options)
    try await fixture.populate()
    await #expect(throws: CallError(code: EPERM)) {
      try await onThread { try names(fixture.path) }
    }
    let bytes = try await onThread { try readFile(fixture.path + "/" + Names.blobA) }
    #expect(bytes == Fixtures.blobA.bytes)
  }

  @Test("the root lists its names, once each", arguments: RootsKind.allCases)
  func rootWithListing(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let entries = try await onThread { try names(fixture.path) }
    #expect(entries.sorted() == "0123456".map(Names.name))
  }

  @Test(
    "files at the root have their size and content",
    arguments: RootsKind.allCases,
    [Names.blobA, Names.blobB]
  )
  func filesAtRoot(kind: RootsKind, name: String) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let blob = name == Names.blobA ? Fixtures.blobA : Fixtures.blobB
    try await onThread { () throws in
      let info = try lstat(fixture.path + "/" + name)
      #expect(info.st_mode == S_IFREG | 0o444)
      #expect(info.st_size == blob.bytes.count)
      #expect(try readFile(fixture.path + "/" + name) == blob.bytes)
    }
  }

  @Test("a link leads where it says, also to nothing", arguments: RootsKind.allCases)
  func links(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.set(Names.symlink, .symlink(target: SymlinkTarget(Names.blobA)))
    let path = fixture.path + "/" + Names.symlink
    try await onThread { () throws in
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == Names.blobA)
      #expect(try lstat(path).st_mode == S_IFLNK | 0o444)
      #expect(throws: CallError(code: ENOENT)) { try readFile(path) }
    }
    try await fixture.populate()
    // The missing name is remembered for as long as root names are.
    try await Task.sleep(for: .milliseconds(1100))
    try await onThread { () throws in
      #expect(try readFile(path) == Fixtures.blobA.bytes)
    }
  }

  @Test(
    "directories list their entries in order and open what is deep inside",
    arguments: RootsKind.allCases
  )
  func directories(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let complicated = fixture.path + "/" + Names.complicated
    try await onThread { () throws in
      #expect(try lstat(fixture.path + "/" + Names.withKeep).st_mode == S_IFDIR | 0o555)
      #expect(try readFile(fixture.path + "/" + Names.withKeep + "/.keep").isEmpty)
      #expect(try names(complicated) == [".keep", "aa", "keep"])
      #expect(try names(complicated + "/keep") == [".keep"])
      #expect(try readFile(complicated + "/keep/.keep").isEmpty)
      #expect(try lstat(complicated + "/.keep").st_size == 0)
      #expect(try lstat(complicated + "/aa").st_mode & S_IFMT == S_IFLNK)
      #expect(try lstat(complicated + "/keep").st_mode & S_IFMT == S_IFDIR)
    }
  }

  @Test("modes, sizes, owners and times are as promised", arguments: RootsKind.allCases)
  func attributes(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let expected: [(String, mode_t, Int)] = [
      (Names.blobA, S_IFREG | 0o444, 2),
      (Names.withKeep, S_IFDIR | 0o555, 1),
      (Names.symlink, S_IFLNK | 0o444, Names.blobA.utf8.count),
      (Names.helloWorld, S_IFREG | 0o555, 12),
    ]
    try await onThread { () throws in
      for (name, mode, size) in expected {
        let info = try lstat(fixture.path + "/" + name)
        #expect(info.st_mode == mode)
        #expect(info.st_size == size)
        #expect(info.st_uid == 0 && info.st_gid == 0)
        #expect(info.st_nlink == 1)
        #expect(info.st_mtim.tv_sec == 1 && info.st_atim.tv_sec == 1 && info.st_ctim.tv_sec == 1)
        #expect(info.st_blksize == 4096)
      }
      #expect(try lstat(fixture.path + "/" + Names.blobB).st_blocks == 2040)
      #expect(try lstat(fixture.path + "/" + Names.withKeep).st_blocks == 0)
    }
  }

  @Test(
    "equal content has equal inode numbers, and a file with another mode has not",
    arguments: RootsKind.allCases
  )
  func inodes(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let same = Fixtures.helloWorld
    try await fixture.set(
      "plain",
      .file(digest: same.digest, size: UInt64(same.bytes.count), isExecutable: false)
    )
    try await onThread { () throws in
      func inode(_ path: String) throws -> UInt { try lstat(fixture.path + "/" + path).st_ino }
      #expect(try inode(Names.withKeep) == inode(Names.complicated + "/keep"))
      #expect(try inode(Names.withKeep + "/.keep") == inode(Names.complicated + "/keep/.keep"))
      #expect(try inode(Names.complicated + "/aa") == inode(Names.symlink2))
      #expect(try inode("plain") != inode(Names.helloWorld))
      #expect(try lstat(fixture.path + "/plain").st_mode == S_IFREG | 0o444)
      #expect(try lstat(fixture.path + "/" + Names.helloWorld).st_mode == S_IFREG | 0o555)
    }
  }

  @Test("wrong names in the root stay wrong", arguments: RootsKind.allCases)
  func wrongNames(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let cut = String(Names.blobA.dropLast())
    let short = String(Names.blobA.dropFirst())
    await #expect(throws: CallError(code: ENOENT)) {
      try await onThread { try lstat(fixture.path + "/" + cut) }
    }
    await #expect(throws: CallError(code: ENOENT)) {
      try await onThread { try lstat(fixture.path + "/" + short) }
    }
    _ = try await onThread { try lstat(fixture.path + "/" + Names.blobA) }
    await #expect(throws: CallError(code: ENOENT)) {
      try await onThread { try lstat(fixture.path + "/" + cut) }
    }
  }

  @Test("nothing can be changed: EROFS", arguments: RootsKind.allCases)
  func readOnly(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.populate()
    let path = fixture.path
    try await onThread { () throws in
      let file = path + "/" + Names.blobA
      let directory = path + "/" + Names.withKeep
      #expect(open(path + "/new", O_CREAT | O_WRONLY, 0o644) == -1 && errno == EROFS)
      #expect(open(file, O_RDWR) == -1 && errno == EROFS)
      #expect(open(file, O_WRONLY | O_TRUNC) == -1 && errno == EROFS)
      #expect(truncate(file, 0) == -1 && errno == EROFS)
      #expect(mkdir(directory + "/new", 0o755) == -1 && errno == EROFS)
      #expect(rmdir(directory) == -1 && errno == EROFS)
      #expect(unlink(file) == -1 && errno == EROFS)
      #expect(rename(file, path + "/other") == -1 && errno == EROFS)
      #expect(link(file, path + "/other") == -1 && errno == EROFS)
      #expect(symlink("x", path + "/other") == -1 && errno == EROFS)
      #expect(mkfifo(path + "/other", 0o644) == -1 && errno == EROFS)
      #expect(chmod(file, 0o777) == -1 && errno == EROFS)
      #expect(chown(file, 1, 1) == -1 && errno == EROFS)
      #expect(utimes(file, nil) == -1 && errno == EROFS)
    }
  }

  @Test("a missing directory object can be looked at, but not into", arguments: RootsKind.allCases)
  func missingDirectory(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.setRoots()
    let path = fixture.path + "/" + Names.withKeep
    _ = try await onThread { try lstat(path) }
    await #expect(throws: CallError(code: EIO)) { try await onThread { try names(path) } }
    await #expect(throws: CallError(code: EIO)) {
      try await onThread { try lstat(path + "/.keep") }
    }
  }

  @Test("a missing blob can be looked at, but not into", arguments: RootsKind.allCases)
  func missingBlob(kind: RootsKind) async throws {
    let fixture = try MountedFixture(rootsKind: kind)
    try await fixture.setRoots()
    let path = fixture.path + "/" + Names.blobA
    #expect(try await onThread { try lstat(path) }.st_size == 2)
    await #expect(throws: CallError(code: EIO)) { try await onThread { try readFile(path) } }
    // And once it is there, it can be read: the failure left nothing behind.
    try await fixture.populate()
    #expect(try await onThread { try readFile(path) } == Fixtures.blobA.bytes)
    #expect(try await onThread { try lstat(path) }.st_size == 2)
  }
}
