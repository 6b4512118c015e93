import CLinux
import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Platform
import Testing

@Suite("A store that fails", .serialized)
struct FailureTests {
  @Test(
    "a failure in the middle of a file is EIO, and the file stays whole",
    arguments: FailingBlobs.Failure.allCases
  )
  func middle(failure: FailingBlobs.Failure) async throws {
    let memory = MemoryBlobService()
    let failing = FailingBlobs(memory)
    let fixture = try MountedFixture(blobs: failing)
    let content = pattern(2_000_001)
    let writer = try await memory.openWrite()
    try await writer.write(content)
    let digest = try await writer.close()
    try await fixture.set(
      "file",
      .file(digest: digest, size: UInt64(content.count), isExecutable: false)
    )
    let path = fixture.path + "/file"
    failing.failure.withLock { $0 = (failure, 1_000_000) }
    for _ in 0..<2 {
      let (bytes, code) = try await onThread { () throws -> ([UInt8], CInt) in
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
          let count = read(file, &buffer, buffer.count)
          if count < 0 { return (bytes, errno) }
          if count == 0 { return (bytes, 0) }
          bytes += buffer[..<count]
        }
      }
      // What came before the failure is right; then there is an error, not an end.
      #expect(code == EIO)
      #expect(bytes.count <= 1_000_000)
      #expect(content.starts(with: bytes))
      #expect(try await onThread { try lstat(path) }.st_size == content.count)
    }
    failing.failure.withLock { $0 = nil }
    #expect(try await onThread { try readFile(path) } == content)
    #expect(try await onThread { try lstat(path) }.st_size == content.count)
  }

  @Test("a page that does not come is SIGBUS for who touches it, and is there later")
  func mapped() async throws {
    let memory = MemoryBlobService()
    let failing = FailingBlobs(memory)
    let fixture = try MountedFixture(blobs: failing)
    let writer = try await memory.openWrite()
    try await writer.write(pattern(30_000))
    let digest = try await writer.close()
    try await fixture.set("file", .file(digest: digest, size: 30_000, isExecutable: false))
    let client = try Shell.built("fs-client")
    let path = fixture.path + "/file"
    failing.failure.withLock { $0 = (.error, 0) }
    #expect(
      try await onThread { try Shell.run(client, ["touch-map", path, "3"]) }.code == 128 + SIGBUS
    )
    failing.failure.withLock { $0 = nil }
    #expect(try await onThread { try Shell.run(client, ["touch-map", path, "3"]) }.code == 0)
  }

  @Test("nothing can be changed by any call: EROFS", arguments: [DataPath.cached, .passthrough])
  func readOnly(dataPath: DataPath) async throws {
    let fixture = try StoreFixture(dataPath) { $0.extendedAttributes = .tvix }
    try await fixture.add("file", pattern(100_000))
    try await fixture.addDirectory("directory", [("link", .symlink(target: SymlinkTarget("x")))])
    try await onThread { () throws in
      let file = fixture.path + "/file"
      let directory = fixture.path + "/directory"
      for path in [file, directory, fixture.path] {
        #expect(setxattr(path, "user.x", "1", 1, 0) == -1 && errno == EROFS)
        #expect(removexattr(path, "user.tvix.castore.blob.digest") == -1 && errno == EROFS)
        #expect(utimensat(AT_FDCWD, path, nil, 0) == -1 && errno == EROFS)
        #expect(chmod(path, 0o777) == -1 && errno == EROFS)
        #expect(lchown(path, 1, 1) == -1 && errno == EROFS)
      }
      #expect(
        utimensat(AT_FDCWD, directory + "/link", nil, AT_SYMLINK_NOFOLLOW) == -1
          && errno == EROFS
      )
      #expect(open(fixture.path, O_TMPFILE_ | O_RDWR, 0o600) == -1 && errno == EROFS)
      #expect(open(file, O_WRONLY | O_APPEND) == -1 && errno == EROFS)
      #expect(truncate(file, 10) == -1 && errno == EROFS)
      #expect(mknod(directory + "/new", S_IFSOCK | 0o600, 0) == -1 && errno == EROFS)
      #expect(
        renameat2(AT_FDCWD, file, AT_FDCWD, directory + "/new", 0) == -1 && errno == EROFS
      )
      #expect(access(file, W_OK) == -1 && errno == EROFS)
      // An opening for reading writes nothing, either; these never reach a file system.
      let descriptor = open(file, O_RDONLY)
      defer { close(descriptor) }
      #expect(fallocate_(descriptor, 0, 0, 4096) == -1 && errno == EBADF)
      #expect(ftruncate(descriptor, 0) == -1)
      #expect(write(descriptor, "x", 1) == -1 && errno == EBADF)
      #expect(try readFile(file) == pattern(100_000))
    }
  }
}

/// `O_TMPFILE`, which Glibc's module leaves out.
private let O_TMPFILE_: CInt = 0o20000000 | O_DIRECTORY

private func fallocate_(_ file: CInt, _ mode: CInt, _ offset: Int, _ length: Int) -> CInt {
  // The module of Glibc has the portable one only; it reports its error by value.
  let code = posix_fallocate(file, offset, length)
  if code == 0 { return 0 }
  errno = code
  return -1
}
