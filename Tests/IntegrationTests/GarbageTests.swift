import Foundation
import Glibc
import Testing

/// `castore gc`.
@Suite(.serialized, .ownThread)
struct GarbageTests {
  private func makeStore() throws -> Castore {
    let castore = Castore(try Scratch())
    for (name, seed) in [("first", 1), ("second", 2)] {
      let tree = castore.scratch.path + "/" + name
      try NastyTree.folder(tree)
      for index in 0..<40 {
        let size = index % 4 == 0 ? 200_000 : 3_000
        try NastyTree.write(
          NastyTree.noise(size, seed: UInt64(seed * 1000 + index)),
          to: tree / "\(index)"
        )
      }
      try castore.succeed("import", tree)
    }
    return castore
  }

  @Test("gc removes what is not named, says so, and what a mount shows stays while it does")
  func collects() throws {
    let castore = try makeStore()
    do {
      let mount = try MountedStore(castore)
      let first = URL(fileURLWithPath: mount.path + "/first/4")
      #expect(try Data(contentsOf: first).count == 200_000)
      try castore.succeed("roots", "remove", "first")
      #expect(try castore.succeed("gc").text.contains("removed 0 blobs"))
      try castore.succeed("verify")
      let second = URL(fileURLWithPath: mount.path + "/second/4")
      #expect(try Data(contentsOf: second).count == 200_000)
      #expect(try mount.unmount().status == .exited(0))
    }
    #expect(try castore.succeed("gc", "--dry-run", "--keep", "1h").text.contains("remove 0 blobs"))
    let plan = try castore.succeed("gc", "--dry-run").text
    #expect(plan.contains("would remove 40 blobs") && plan.contains("1 directories"))
    try castore.succeed("verify")
    let done = try castore.succeed("gc", "--json").text
    #expect(done.contains("\"blobs\":40") && done.contains("\"keptBlobs\":40"))
    #expect(try castore.succeed("gc").text.contains("removed 0 blobs"))
    try castore.succeed("verify")
    try castore.succeed("import", castore.scratch.path + "/first")
    try castore.succeed("verify")
    #expect(try castore.succeed("cat", "first/4").output.count == 200_000)
  }

  @Test("a pin keeps a tree without a name, until it is taken away")
  func pins() throws {
    let castore = try makeStore()
    let digest = try castore.succeed("roots", "pin", "first", "--note", "why").text
      .split(separator: "\t").last.map { $0.trimmingCharacters(in: .newlines) }
    try castore.succeed("roots", "remove", "first")
    #expect(try castore.succeed("gc").text.contains("removed 0 blobs"))
    let pins = try castore.succeed("roots", "pins").text
    #expect(pins.contains("why") && digest.map { pins.contains($0) } == true)
    #expect(try castore.succeed("roots", "pins", "--json").text.contains("\"note\":\"why\""))
    try castore.succeed("roots", "unpin", digest ?? "")
    #expect(try castore.succeed("gc").text.contains("removed 40 blobs"))
  }

  @Test("verify --repair sets damage aside and fetches what is missing from another store")
  func repairs() throws {
    let castore = try makeStore()
    let other = "local:" + castore.scratch.path + "/other"
    try castore.succeed("copy", "--to", other, "first", "second")
    // A byte in the middle of each pack and of each file.
    try castore.scratch.succeed(
      "sh",
      "-c",
      "find '\(castore.storePath)/packs' '\(castore.storePath)/blobs' -type f | while read f; do "
        + "printf X | dd of=\"$f\" bs=1 seek=$(($(stat -c %s \"$f\") / 2)) conv=notrunc status=none; done"
    )
    #expect(try castore.run("verify").status == .exited(1))
    #expect(try castore.run("export", "first", castore.scratch.path + "/out").status == .exited(1))
    let repaired = try castore.succeed("verify", "--repair", "--from", other)
    #expect(repaired.errors.contains("/aside/"))
    try castore.succeed("verify")
    try castore.succeed("export", "first", castore.scratch.path + "/out2")
    try castore.scratch.succeed(
      "diff",
      "-r",
      castore.scratch.path + "/first",
      castore.scratch.path + "/out2"
    )
  }

  @Test("killed at any moment, gc leaves a whole store")
  func killed() throws {
    let castore = try makeStore()
    for round in 0..<12 {
      try castore.succeed("import", castore.scratch.path + "/first")
      try castore.succeed("roots", "remove", "first")
      let child = try castore.start(["gc"])
      usleep(UInt32(round) * 2_500)
      try child.signal(SIGKILL)
      _ = try child.wait()
      try castore.succeed("verify")
    }
    try castore.succeed("gc")
    #expect(try castore.succeed("gc", "--dry-run").text.contains("would remove 0 blobs"))
  }

  @Test("gc needs a store")
  func noStore() throws {
    let castore = Castore(try Scratch())
    try castore.fail("gc", "--store", "local:/no/such/store", saying: ["/no/such/store"])
  }
}
