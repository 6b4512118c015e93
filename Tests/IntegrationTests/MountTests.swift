import Foundation
import Glibc
import Testing

/// What people expect to see in a mount.
@Suite(.serialized, .ownThread)
struct MountTests {
  @Test(
    "equal content has one st_ino, and a process stays where it is when the other place is looked at"
  )
  func places() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore)
    let root = mount.path + "/tree"
    let go = castore.scratch.path + "/go"
    let process = try Child(
      [
        "sh", "-c", "until [ -e \"$1\" ]; do sleep 0.02; done; ls ..; cat keep; pwd -P", "sh",
        castore.scratch.path + "/go",
      ],
      scratch: castore.scratch,
      folder: root + "/a/same"
    )
    try waitUntil("it is there") {
      let place = try? FileManager.default.destinationOfSymbolicLink(
        atPath: "/proc/\(process.pid)/cwd"
      )
      return place == root + "/a/same"
    }
    for _ in 0..<3 {
      #expect(try readAll(root + "/b/same/keep") == "kept".bytes)
      try castore.scratch.succeed("ls", "-lR", root)
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process.pid)/cwd")
          == root + "/a/same"
      )
    }
    let (a, b) = (try status(root + "/a/same"), try status(root + "/b/same"))
    #expect(a.st_ino == b.st_ino)
    #expect(
      try status(root + "/a/same/keep").st_ino == status(root + "/b/same/keep").st_ino
    )
    // The executable bit is part of what a file is.
    #expect(try status(root + "/script").st_ino != status(root + "/text").st_ino)
    try NastyTree.write("now\n", to: go)
    let outcome = try process.wait()
    #expect(outcome.text == "a\nsame\nkept\(root)/a/same\n", "\(outcome)")
  }

  @Test("a second ls -lR sends no more than a handful of requests")
  func secondListing() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore)
    try castore.scratch.succeed("ls", "-lR", mount.path)
    let before = try mount.requestCounts()
    try castore.scratch.succeed("ls", "-lR", mount.path)
    let requests = try mount.requests(since: before)
    #expect(requests.values.reduce(0, +) <= 5, "\(requests)")
    // And reading twice reads once; the second time nothing is even opened.
    try castore.scratch.succeed("md5sum", mount.path + "/tree/large")
    let read = try mount.requestCounts()
    try castore.scratch.succeed("md5sum", mount.path + "/tree/large")
    let again = try mount.requests(since: read)
    #expect(again.values.reduce(0, +) <= 3, "\(again)")
  }

  @Test("a root that may not be listed shows the names that one knows")
  func unlisted() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore, "--no-list-root")
    #expect { try listNames(mount.path) } throws: { ($0 as? CallError)?.code == EPERM }
    #expect(try readAll(mount.path + "/tree/a/a") == "only in a".bytes)
    #expect(try listNames(mount.path + "/tree/a").count == 4)
    #expect { try status(mount.path + "/other") } throws: { ($0 as? CallError)?.code == ENOENT }
    #expect(try mount.unmount().status == .exited(0))
    let listed = try MountedStore(castore, "--list-root")
    #expect(try listNames(listed.path).count == 3)
  }

  @Test("owner, times and threads are what was asked for", arguments: ["1", "7"])
  func options(_ threads: String) throws {
    let (castore, tree) = try SampleStore.make()
    let mount = try MountedStore(
      castore,
      "--owner",
      "1234:5678",
      "--mtime",
      "0",
      "--threads",
      threads
    )
    for name in ["", "/tree", "/tree/script", "/tree/link", "/tree/a"] {
      let found = try status(mount.path + name)
      #expect(found.st_uid == 1234 && found.st_gid == 5678)
      #expect(found.st_mtim.tv_sec == 0 && found.st_ctim.tv_sec == 0)
    }
    let tasks = try listNames("/proc/\(mount.process.pid)/task").count - 2
    #expect(tasks >= Int(threads)!)
    try TreeComparison.mounted.expectEqual(tree, mount.path + "/tree")
    let plain = try MountedStore(castore)
    let found = try status(plain.path + "/tree/script")
    #expect(found.st_uid == 0 && found.st_gid == 0 && found.st_mtim.tv_sec == 1)
  }

  @Test("extended attributes show digests where they are asked for")
  func extendedAttributes() throws {
    let (castore, tree) = try SampleStore.make()
    let list = ["getfattr", "-d", "-m", "-", "--absolute-names"]
    let plain = try MountedStore(castore)
    let nothing = try Child(list + [plain.path + "/tree/script"], scratch: castore.scratch).wait()
    #expect(nothing.text.isEmpty)
    let mount = try MountedStore(castore, "--show-xattr")
    let sum = try castore.scratch.succeed("b3sum", "--raw", tree + "/script").output
    let digest = "b3:" + Data(sum).base64EncodedString()
    let shown = try Child(list + [mount.path + "/tree/script"], scratch: castore.scratch).wait()
    #expect(shown.status == .exited(0))
    #expect(shown.text.contains(digest), "\(shown.text)")
    let listed = try castore.succeed("ls", "--json", "tree")
    let entries = try #require(try objects(listed))
    let folder = try #require(entries.first { $0["name"] as? String == "a" }?["digest"] as? String)
    let other = try Child(list + [mount.path + "/tree/a"], scratch: castore.scratch).wait()
    #expect(other.text.contains(folder))
  }

  @Test("nothing can be changed")
  func readOnly() throws {
    let (castore, _) = try SampleStore.make()
    let mount = try MountedStore(castore)
    let script = mount.path + "/tree/script"
    func refused(_ call: String, _ result: CInt) {
      #expect(result == -1 && errno == EROFS, "\(call): \(result), \(errno)")
    }
    refused("open", open(script, O_WRONLY))
    refused("open", open(script, O_RDWR | O_TRUNC))
    refused("create", open(mount.path + "/tree/new", O_WRONLY | O_CREAT, 0o644))
    refused("create", open(mount.path + "/new", O_WRONLY | O_CREAT, 0o644))
    refused("mkdir", mkdir(mount.path + "/tree/new", 0o755))
    refused("unlink", unlink(script))
    refused("rename", rename(script, mount.path + "/tree/other"))
    refused("chmod", chmod(script, 0o777))
    refused("chown", chown(script, 1, 1))
    refused("symlink", symlink("x", mount.path + "/tree/new"))
    refused("truncate", truncate(script, 0))
    refused("access", access(script, W_OK))
    #expect(access(script, X_OK) == 0)
    #expect(access(mount.path + "/tree/text", X_OK) == -1)
  }

  @Test("what is imported while it is mounted shows up, and what is removed goes")
  func changes() throws {
    let (castore, tree) = try SampleStore.make()
    let mount = try MountedStore(castore)
    #expect { try status(mount.path + "/later") } throws: { ($0 as? CallError)?.code == ENOENT }
    #expect(try listNames(mount.path).count == 3)
    try castore.succeed("import", "--name", "later", tree + "/a")
    try waitUntil("the new root is seen") { (try? status(mount.path + "/later")) != nil }
    #expect(try readAll(mount.path + "/later/a") == "only in a".bytes)
    try waitUntil("the new root is listed") { try listNames(mount.path).count == 4 }
    // What is open stays what it was when the name is re-pointed.
    let file = try check(open(mount.path + "/later/a", O_RDONLY | O_CLOEXEC), "open")
    defer { close(file) }
    try castore.succeed("import", "--replace", "--name", "later", tree + "/b")
    try waitUntil("the new content is seen") { (try? status(mount.path + "/later/b")) != nil }
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = try check(pread(file, &buffer, 100, 0), "pread")
    #expect(buffer[..<count].elementsEqual("only in a".utf8))
    try castore.succeed("roots", "remove", "later")
    try waitUntil("the root is gone") { (try? status(mount.path + "/later")) == nil }
    try waitUntil("it is not listed") { try listNames(mount.path).count == 3 }
  }

  @Test("it can lie under an overlay or be bound elsewhere, and be imported from")
  func layers() throws {
    let (castore, tree) = try SampleStore.make()
    let mount = try MountedStore(castore)
    let bound = try castore.scratch.makeFolder("bound")
    try castore.scratch.succeed("mount", "--bind", mount.path + "/tree", bound)
    try TreeComparison.mounted.expectEqual(tree, bound)
    let folders = try ["upper", "work", "merged"].map { try castore.scratch.makeFolder($0) }
    try castore.scratch.succeed(
      "mount",
      "-t",
      "overlay",
      "overlay",
      "-o",
      "lowerdir=\(mount.path)/tree,upperdir=\(folders[0]),workdir=\(folders[1])",
      folders[2]
    )
    try castore.scratch.succeed("diff", "-r", "--no-dereference", tree, folders[2])
    try castore.scratch.succeed("sh", "-c", "echo more >> \(folders[2])/script")
    try check(unlink(folders[2] + "/a/a"), "unlink")
    #expect(try castore.scratch.succeed(folders[2] + "/script").status == .exited(0))
    #expect(try readAll(mount.path + "/tree/script") == "#!/bin/sh\necho ran\n".bytes)
    // From the store by way of the kernel into the same store.
    let (files, room) = (try castore.blobFiles(), try castore.diskUsage())
    try castore.succeed("import", "--name", "again", mount.path + "/tree")
    let lines = try castore.succeed("roots").lines.map { $0.split(separator: "\t") }
    #expect(lines.map { $0[0] } == ["again", "tree"])
    #expect(lines[0][1] == lines[1][1])
    #expect(try castore.blobFiles() == files)
    #expect(try castore.diskUsage() <= room + 64 << 10)
  }

  @Test("other users are let in only where that was asked for")
  func otherUsers() throws {
    let (castore, tree) = try SampleStore.make()
    try check(chmod(castore.scratch.path, 0o755), "chmod")
    let other: [any Word] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    let closed = try MountedStore(castore)
    let refused = try Child(
      other + ["cat", closed.path + "/tree/text"],
      scratch: castore.scratch
    ).wait()
    #expect(refused.status == .exited(1))
    #expect(refused.errors.contains("Permission denied"))
    let open = try MountedStore(castore, "--allow-other")
    let found = try Child(
      other + ["diff", "-r", "--no-dereference", tree, open.path + "/tree"],
      scratch: castore.scratch
    ).wait()
    #expect(found.status == .exited(0), "\(found)")
  }
}
