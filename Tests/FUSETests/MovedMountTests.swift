import CLinux
import FUSE
import Foundation
import Glibc
import Platform
import Testing

/// The lines of the table of mounts that concern a folder.
func mountLines(below folder: String) throws -> [String] {
  let table = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
  return table.split(separator: "\n").filter { $0.contains(" \(folder)/") }.map(String.init)
}

@Suite("A mount that is moved while it is served", .serialized, .timeLimit(.minutes(2)))
struct MovedMountTests {
  let fixture: MountFixture

  init() throws {
    fixture = try MountFixture()
  }

  enum Moving: CaseIterable {
    /// A folder above is renamed.
    case renamed
    /// `mount --move`.
    case moved
  }

  /// Runs `body` with a mount that was moved to `there/mnt`, and another that stands at `here/mnt` now.
  private func withMoved(
    _ moving: Moving,
    _ method: MountOptions.Method,
    _ body: (Mount, _ place: String) async throws -> Void
  ) async throws {
    // Mounts below a shared one cannot be moved.
    let base = try fixture.directory("base")
    #expect(Glibc.mount("base", base, "tmpfs", 0, nil) == 0)
    #expect(Glibc.mount(nil, base, nil, UInt(MS_PRIVATE), nil) == 0)
    for name in ["here", "here/mnt", "there"] { #expect(mkdir("\(base)/\(name)", 0o755) == 0) }
    let fileSystem = TinyFileSystem([("f", .bytes([1]))])
    var options = MountOptions()
    options.method = method
    let final = options
    let mount = try await onThread { try Mount(fileSystem, at: "\(base)/here/mnt", options: final) }
    switch moving {
    case .renamed:
      #expect(rmdir("\(base)/there") == 0)
      #expect(rename("\(base)/here", "\(base)/there") == 0)
      for name in ["here", "here/mnt"] { #expect(mkdir("\(base)/\(name)", 0o755) == 0) }
    case .moved:
      #expect(mkdir("\(base)/there/mnt", 0o755) == 0)
      let flags = UInt(MS_MOVE)
      #expect(Glibc.mount("\(base)/here/mnt", "\(base)/there/mnt", nil, flags, nil) == 0)
    }
    #expect(Glibc.mount("foreign", "\(base)/here/mnt", "tmpfs", 0, nil) == 0)
    defer { umount2("\(base)/here/mnt", Int32(MNT_DETACH)) }
    let place = "\(base)/there/mnt"
    #expect(try await onThread { readAt("\(place)/f", 0, 1) }.get() == [1])
    try await body(mount, place)
    let lines = try mountLines(below: base)
    #expect(lines.count == 1 && lines.allSatisfy { $0.contains("here/mnt") }, "\(lines)")
    #expect(lines.allSatisfy { $0.contains(" foreign ") })
  }

  @Test(
    "is unmounted where it is now, and nothing else",
    arguments: Moving.allCases,
    [MountOptions.Method.direct, .helper]
  )
  func moved(_ moving: Moving, _ method: MountOptions.Method) async throws {
    try await withMoved(moving, method) { (mount, _) async throws in
      #expect(try await onThread { try mount.unmount() } == .ended)
      #expect(await mount.ended() == .unmounted)
    }
  }

  @Test("is waited for while it is busy, and then detached", arguments: Moving.allCases)
  func busy(_ moving: Moving) async throws {
    try await withMoved(moving, .direct) { (mount, place) async throws in
      let file = try await onThread { open("\(place)/f", O_RDONLY | O_CLOEXEC) }
      #expect(try await onThread { try mount.unmount(grace: 60) } == .detached)
      close(file)
      #expect(await mount.ended() == .unmounted)
    }
  }

  @Test("is unmounted within its grace as soon as it is free")
  func freed() async throws {
    try await withMoved(.renamed, .direct) { (mount, place) async throws in
      let file = try await onThread { open("\(place)/f", O_RDONLY | O_CLOEXEC) }
      async let outcome = onThread { try mount.unmount(grace: 600_000) }
      try await Task.sleep(for: .milliseconds(50))
      #expect(mount.end == nil)
      close(file)
      #expect(try await outcome == .ended)
    }
  }

  @Test("is left alone under something else that is mounted there now")
  func covered() async throws {
    try await withMoved(.moved, .direct) { (mount, place) async throws in
      #expect(Glibc.mount("cover", place, "tmpfs", 0, nil) == 0)
      await #expect(throws: MountError.covered(path: place)) {
        try await onThread { try mount.unmount() }
      }
      #expect(umount2(place, 0) == 0)
      #expect(try await onThread { try mount.unmount() } == .ended)
    }
  }
}
