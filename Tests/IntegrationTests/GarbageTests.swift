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

  @Test("gc removes what is not named, says so, and a mount goes on")
  func collects() throws {
    let castore = try makeStore()
    let mount = try MountedStore(castore)
    try castore.succeed("roots", "remove", "first")
    let plan = try castore.succeed("gc", "--dry-run").text
    #expect(plan.contains("would remove 40 blobs") && plan.contains("1 directories"))
    try castore.succeed("verify")
    let done = try castore.succeed("gc", "--json").text
    #expect(done.contains("\"blobs\":40") && done.contains("\"keptBlobs\":40"))
    #expect(try castore.succeed("gc").text.contains("removed 0 blobs"))
    try castore.succeed("verify")
    let second = URL(fileURLWithPath: mount.path + "/second/4")
    #expect(try Data(contentsOf: second).count == 200_000)
    try castore.succeed("import", castore.scratch.path + "/first")
    try castore.succeed("verify")
    #expect(try castore.succeed("cat", "first/4").output.count == 200_000)
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
