import Foundation
import Glibc
import Testing

/// How mounts begin and end.
@Suite(.serialized, .ownThread)
struct MountLifeCycleTests {
  @Test("an idle mount ends with SIGINT and SIGTERM", arguments: [SIGINT, SIGTERM])
  func idle(_ signal: CInt) throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let mount = try MountedStore(castore)
    #expect(try listNames(mount.path).map { String(decoding: $0, as: UTF8.self) }.contains("tree"))
    try mount.process.signal(signal)
    let outcome = try mount.process.wait()
    #expect(outcome.status == .exited(0), "\(outcome)")
    #expect(!mount.isMounted)
    #expect(try listNames(mount.path).count == 2)
  }

  /// A process in a folder of the mount that reads a file there when it is told to.
  private func makeUser(_ mount: MountedStore, _ castore: Castore) throws -> Child {
    let go = castore.scratch.path + "/go"
    let user = try Child(
      [
        "sh", "-c",
        "echo here; until [ -e \"$1\" ]; do sleep 0.02; done; cat same/keep a; md5sum < ../large",
        "sh", go,
      ],
      scratch: castore.scratch,
      folder: mount.path + "/tree/a"
    )
    try waitUntil("it is there") {
      let place = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(user.pid)/cwd"
      )
      return place == mount.path + "/tree/a"
    }
    return user
  }

  @Test("a busy mount is detached by SIGTERM and served until its last user leaves")
  func busy() throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    let mount = try MountedStore(castore)
    let user = try makeUser(mount, castore)
    try mount.process.signal(SIGTERM)
    try waitUntil("it is out of sight") { !mount.isMounted }
    try waitUntil("it says so") { mount.process.errors.contains("in use") }
    #expect(mount.process.isRunning)
    try NastyTree.write("now\n", to: castore.scratch.path + "/go")
    let sum = try castore.scratch.succeed("sh", "-c", "md5sum < \(tree)/large").text
    let outcome = try user.wait()
    #expect(outcome.text == "here\nkeptonly in a" + sum, "\(outcome)")
    #expect(try mount.process.wait().status == .exited(0))
  }

  @Test("a second signal ends a mount that is still in use")
  func busyTwice() throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let mount = try MountedStore(castore)
    let user = try makeUser(mount, castore)
    try mount.process.signal(SIGTERM)
    try waitUntil("it says that it is in use") { mount.process.errors.contains("in use") }
    try mount.process.signal(SIGTERM)
    #expect(try mount.process.wait().status == .killed(SIGTERM))
    try NastyTree.write("now\n", to: castore.scratch.path + "/go")
    // Errors, but no hanging.
    _ = try user.wait()
  }

  @Test("a mount whose folder was renamed is unmounted where it is, and nothing else")
  func moved() throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let (before, after) = (castore.scratch.path + "/before", castore.scratch.path + "/after")
    try NastyTree.folder(before)
    try NastyTree.folder(before + "/mnt")
    let mount = try MountedStore(castore, at: before + "/mnt")
    try check(rename(before, after), "rename")
    try NastyTree.folder(before)
    try NastyTree.folder(before + "/mnt")
    try check(Glibc.mount("none", before + "/mnt", "tmpfs", 0, nil), "mount")
    #expect(try readAll(after + "/mnt/tree/a/a") == "only in a".bytes)
    #expect(try mount.unmount().status == .exited(0))
    #expect(Scratch.mountPoints(below: castore.scratch.path) == [(before + "/mnt").bytes])
  }

  @Test("a killed mount can be mounted over", arguments: ["%", "./mnt", "mnt/", "link"])
  func killed(_ path: String) throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let point = castore.scratch.path + "/mnt"
    try NastyTree.folder(point)
    try NastyTree.link(castore.scratch.path + "/link", to: "mnt")
    let mount = try MountedStore(castore, at: point)
    let given = path == "%" ? point : path
    let file = try check(open(mount.path + "/tree/large", O_RDONLY | O_CLOEXEC), "open")
    defer { close(file) }
    try mount.process.signal(SIGKILL)
    #expect(try mount.process.wait().status == .killed(SIGKILL))
    #expect(throws: CallError.self) { try listNames(mount.path) }
    let again = try MountedStore(
      castore,
      at: mount.path,
      givenAs: given,
      from: castore.scratch.path
    )
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    #expect(Scratch.mountPoints(below: mount.path).count == 1)
    #expect(try again.unmount().status == .exited(0))
  }

  @Test("umount from outside ends the process well")
  func unmountedOutside() throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    for command in ["umount", "fusermount3 -u"] {
      let mount = try MountedStore(castore)
      try castore.scratch.succeed("sh", "-c", "\(command) \(mount.path)")
      let outcome = try mount.process.wait()
      #expect(outcome.status == .exited(0), "\(outcome)")
    }
  }

  @Test("a mount point that cannot be one is an error that names it")
  func badMountPoints() throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    try castore.fail("mount", tree + "/nothing", saying: [tree + "/nothing", "No such file"])
    try castore.fail("mount", tree + "/a/a", saying: [tree + "/a/a", "Not a directory"])
    try castore.fail("mount", "", saying: ["mount point"], status: 64)
    let none = Castore(castore.scratch, store: castore.scratch.path + "/none")
    try none.fail("mount", tree, saying: [castore.scratch.path + "/none"])
    #expect(Scratch.mountPoints(below: castore.scratch.path).isEmpty)
  }

  @Test("nothing is hidden by a mount unless --non-empty says so")
  func nonEmpty() throws {
    let (castore, tree) = try SampleStore.make(entries: 10)
    try castore.fail("mount", tree, saying: [tree, "not empty", "--non-empty"])
    try NastyTree.folder(castore.scratch.path + "/hidden")
    try NastyTree.write("", to: castore.scratch.path + "/hidden/.file")
    try castore.fail("mount", castore.scratch.path + "/hidden", saying: ["not empty"])
    // Its own mount, also one that shows nothing and one that cannot be listed.
    let none = Castore(castore.scratch, store: castore.scratch.path + "/none")
    try none.succeed("import", "--name", "x", tree + "/text")
    try none.succeed("roots", "remove", "x")
    for (store, flags) in [(castore, []), (none, []), (castore, ["--no-list-root"])] {
      let mount = try MountedStore(store, flags: flags)
      try castore.fail("mount", mount.path, saying: [mount.path, "mounted there", "--non-empty"])
      #expect(Scratch.mountPoints(below: mount.path).count == 1)
      #expect(try mount.unmount().status == .exited(0))
    }
    // Another file system there is a folder like any other.
    let disk = try castore.scratch.makeDisk(mebibytes: 1)
    let onDisk = try MountedStore(castore, at: disk)
    #expect(try onDisk.unmount().status == .exited(0))
    let over = try MountedStore(castore, "--non-empty", at: tree)
    #expect(try readAll(tree + "/tree/a/a") == "only in a".bytes)
    #expect(try over.unmount().status == .exited(0))
  }

  @Test("a mount may stand on another")
  func stacked() throws {
    let (castore, _) = try SampleStore.make(entries: 10)
    let below = try MountedStore(castore)
    let above = try MountedStore(castore, "--non-empty", at: below.path)
    #expect(try readAll(below.path + "/tree/a/a") == "only in a".bytes)
    #expect(try above.unmount().status == .exited(0))
    #expect(try readAll(below.path + "/tree/a/a") == "only in a".bytes)
    #expect(try below.unmount().status == .exited(0))
  }
}
