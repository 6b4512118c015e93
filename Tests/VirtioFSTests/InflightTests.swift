import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// Requests that outlive a connection.
@Suite("Requests in flight across connections")
struct InflightTests {
  @Test("what was in flight when a connection broke is done by the next one")
  func inflightSurvives() async throws {
    try await onThread {
      let fileSystem = SampleFileSystem()
      let first = try TestMachine(fileSystem: fileSystem, starts: false)
      try first.frontEnd.negotiate()
      try first.frontEnd.setMemoryTable()
      let wish = InflightDescription(size: 0, offset: 0, queueCount: 2, queueSize: 64)
      try first.frontEnd.send(.getInflight, bytes(of: wish))
      let (area, descriptors) = try first.frontEnd.reply(to: .getInflight)
      let file = try #require(descriptors.first)
      defer { close(file) }
      let description = area.withUnsafeBytes { $0.loadUnaligned(as: InflightDescription.self) }
      #expect(description.size == 2 * (16 + 64 * 16 + 48))
      try first.frontEnd.demand(.setInflight, area, descriptors: [file])
      try first.hiprio.start()
      try first.requests.start()
      try first.initialize()
      try first.submitSlow(at: 20)
      try first.checkAlive()
      #expect(first.shutDown())
      first.requests.collect()
      #expect(first.requests.completed.isEmpty)

      // The same guest by another connection, which says that it goes on behind the last answer.
      let second = try TestMachine(fileSystem: fileSystem, server: first.server, starts: false)
      second.frontEnd.regions = first.frontEnd.regions
      try second.frontEnd.negotiate()
      try second.frontEnd.setMemoryTable()
      try second.frontEnd.demand(.setInflight, area, descriptors: [file])
      second.requests.availableIndex = first.requests.availableIndex
      second.requests.seenUsed = first.requests.seenUsed
      try second.requests.start(base: first.requests.seenUsed)
      fileSystem.release()
      #expect(try second.requests.wait(for: 20) == 5016)
      let reply = second.frontEnd.read(5000, at: TestMachine.high + 8192)
      #expect(reply == SampleFileSystem.bigBytes(at: 0, count: 5000))
      // The session is the same: no INIT is needed.
      try second.checkAlive()
      #expect(fileSystem.record.withLock { $0.inits } == 1)
      #expect(try second.requests.stop() == second.requests.availableIndex)
    }
  }

  /// Front ends count differently: from the last answer, or from what is available.
  @Test(
    "nothing is lost at reconnection, whatever the front end states as base",
    arguments: [true, false],
    [true, false]
  )
  func reconnection(isInFlight: Bool, statesAvailable: Bool) async throws {
    try await onThread {
      let fileSystem = SampleFileSystem()
      let first = try TestMachine(fileSystem: fileSystem, starts: false)
      try first.frontEnd.negotiate()
      try first.frontEnd.setMemoryTable()
      let wish = InflightDescription(size: 0, offset: 0, queueCount: 2, queueSize: 64)
      try first.frontEnd.send(.getInflight, bytes(of: wish))
      let (area, descriptors) = try first.frontEnd.reply(to: .getInflight)
      let file = try #require(descriptors.first)
      defer { close(file) }
      try first.frontEnd.demand(.setInflight, area, descriptors: [file])
      try first.requests.start()
      try first.initialize()
      if isInFlight { try first.submitSlow(at: 20) }
      try first.checkAlive()
      #expect(first.shutDown())
      // Made available while nobody was there.
      let late = Message.getattr(2, unique: 81)
      first.frontEnd.write(late, at: TestMachine.requestAddress)
      first.requests.lay(
        [
          .init(address: TestMachine.requestAddress, count: UInt32(late.count)),
          .init(address: TestMachine.replyAddress, count: 200, isWritable: true),
        ],
        at: 40
      )
      first.requests.submit(40, kicks: false)

      let second = try TestMachine(fileSystem: fileSystem, server: first.server, starts: false)
      second.frontEnd.regions = first.frontEnd.regions
      try second.frontEnd.negotiate()
      try second.frontEnd.setMemoryTable()
      try second.frontEnd.demand(.setInflight, area, descriptors: [file])
      second.requests.availableIndex = first.requests.availableIndex
      second.requests.seenUsed = first.requests.seenUsed
      try second.requests.start(
        base: statesAvailable ? first.requests.availableIndex : first.requests.seenUsed
      )
      #expect(try second.requests.wait(for: 40) == 120)
      fileSystem.release()
      if isInFlight { #expect(try second.requests.wait(for: 20) == 5016) }
      try second.checkAlive()
      #expect(fileSystem.record.withLock { $0.inits } == 1)
      #expect(try second.requests.stop() == second.requests.availableIndex)
    }
  }

  @Test("a table of requests in flight that is another driver's is not believed")
  func staleTable() async throws {
    try await onThread {
      let machine = try TestMachine(starts: false)
      try machine.frontEnd.negotiate()
      try machine.frontEnd.setMemoryTable()
      let size = InflightArea.byteCount(queueCount: 2, queueSize: 64)
      var content = [UInt8](repeating: 0, count: size)
      for start in [0, size / 2] {
        content.replaceSubrange(start + 8..<start + 12, with: [1, 0, 64, 0])
        // Three in flight, in a ring in which nothing was ever made available.
        for head in [3, 4, 9] { content[start + 16 + 16 * head] = 1 }
      }
      let file = memfd_create("inflight", 0)
      defer { close(file) }
      #expect(write(file, content, size) == size)
      let message = InflightDescription(
        size: UInt64(size),
        offset: 0,
        queueCount: 2,
        queueSize: 64
      )
      try machine.frontEnd.demand(.setInflight, bytes(of: message), descriptors: [file])
      try machine.requests.start()
      try machine.initialize()
      try machine.checkAlive()
      #expect(machine.requests.completed.isEmpty)
    }
  }

  @Test("garbage in the file of requests in flight harms nobody but the ring")
  func garbage() async throws {
    try await onThread {
      var random = FuzzTests.Random(state: FuzzTests.seed)
      for round in 0..<20 {
        let machine = try TestMachine(starts: false)
        try machine.frontEnd.negotiate()
        try machine.frontEnd.setMemoryTable()
        let size = InflightArea.byteCount(queueCount: 2, queueSize: 64)
        var content = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        // The right version and size, by turns, in both rings.
        if round % 2 == 0 {
          for start in [0, size / 2] {
            content.replaceSubrange(start + 8..<start + 12, with: [1, 0, 64, 0])
          }
        }
        let file = memfd_create("inflight", 0)
        defer { close(file) }
        #expect(write(file, content, size) == size)
        let message = InflightDescription(
          size: UInt64(size),
          offset: 0,
          queueCount: 2,
          queueSize: 64
        )
        try machine.frontEnd.demand(.setInflight, bytes(of: message), descriptors: [file])
        try machine.hiprio.start()
        try machine.requests.start()
        _ = try machine.requests.stop()
        #expect(machine.shutDown())
      }
    }
  }
}
