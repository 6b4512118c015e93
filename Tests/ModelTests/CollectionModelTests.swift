import CastoreTestSupport
import Foundation
import Testing

@Suite("The model of collections")
struct CollectionModelTests {
  @Test("nothing that is reachable is ever deleted, and it takes every rule for that")
  func collection() throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Models/check.sh").path
    let run = try Shell.run("/bin/bash", [script])
    #expect(run.code == 0, "\(run.output)")
    // One line for each of the two that hold, and of the seven that do not.
    #expect(run.output.split(separator: "\n").count == 9, "\(run.output)")
  }
}
