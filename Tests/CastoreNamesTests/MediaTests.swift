import Castore
import CastoreNames
import CastoreTestSupport
import Foundation
import Testing

@Suite("Names on media that are read-only or full", .serialized)
struct MediaTests {
  let folder: TestFolder
  let media: String

  init() throws {
    folder = try TestFolder()
    media = folder.sub("media")
  }

  // Mounts a file system of 2 MiB for as long as `body` runs.
  private func withMedia(_ body: () throws -> Void) throws {
    let mount = try Shell.script(
      "mkdir \"$1\" && mount -t tmpfs -o size=2m castore-test \"$1\"",
      media
    )
    try #require(mount.code == 0, "\(mount.output)")
    defer { _ = try? Shell.run("/bin/umount", ["-l", media]) }
    try body()
  }

  private func remount(_ option: String) throws {
    let mount = try Shell.run("/bin/mount", ["-o", "remount,\(option)", media])
    try #require(mount.code == 0, "\(mount.output)")
  }

  @Test("read-only media are read, with a log left behind or without")
  func readOnly() throws {
    try withMedia {
      let path = "\(media)/names"
      let crashed = "\(media)/crashed"
      do {
        let names = try makeNames(path)
        for index in 0..<30 { try names.putRoot(name("r\(index)"), node(index), replace: false) }
        try copyNames(path, to: crashed)
        unlink(crashed + "-shm")
      }
      try remount("ro")
      for path in [path, crashed] {
        let names = try SQLiteNames(opening: path, isReadOnly: true)
        #expect(try names.allRoots(pageSize: 7).count == 30)
        #expect(try names.rootsVersion() == 30)
        #expect(try names.verify() == [])
        let error = serviceError { try names.putRoot("x", node(1), replace: false) }
        #expect(error?.code == .permissionDenied)
      }
      // Who means to write learns that at the first change, not before.
      let names = try SQLiteNames(opening: path)
      #expect(try names.root("r7") == node(7))
      let error = serviceError { try names.putRoot("x", node(1), replace: false) }
      #expect(error?.code == .permissionDenied)
      #expect(error?.message.contains(path) == true)
    }
  }

  @Test("on a full disk names are read, changes refused, and nothing is lost")
  func full() throws {
    try withMedia {
      let path = "\(media)/names"
      do {
        let names = try makeNames(path)
        for index in 0..<30 { try names.putRoot(name("r\(index)"), node(index), replace: false) }
      }
      _ = try Shell.run("/bin/dd", ["if=/dev/zero", "of=\(media)/filler", "bs=4k"])
      let names = try SQLiteNames(opening: path)
      #expect(try names.references().count == 30)
      let error = serviceError { try names.removeRoot("r1") }
      #expect(error?.code == .outOfSpace, "\(String(describing: error))")
      #expect(try names.references().count == 30)
      unlink("\(media)/filler")
      #expect(try names.removeRoot("r1") == node(1))
      #expect(try names.references().count == 29)
      #expect(try names.verify() == [])
    }
  }
}
