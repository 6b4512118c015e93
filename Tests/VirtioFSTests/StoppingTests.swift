import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// Rings that are stopped under requests that nobody answers.
@Suite("Stopping")
struct StoppingTests {
  private static func impatient(_ patience: Duration = .milliseconds(20)) -> VirtioFSConfiguration {
    var configuration = VirtioFSConfiguration()
    configuration.stopPatience = patience
    return configuration
  }

  /// How a machine is stopped.
  enum Stop: CaseIterable {
    case ring
    case status
  }

  @Test(
    "a machine stops while a fetch hangs, and gets its answer when it goes on",
    arguments: Stop.allCases
  )
  func pauseAndGoOn(_ stop: Stop) async throws {
    try await onThread {
      let machine = try TestMachine(configuration: Self.impatient())
      try machine.initialize()
      try machine.submitSlow(at: 20)
      try machine.checkAlive()
      switch stop {
      case .ring: #expect(try machine.requests.stop() == 3)
      case .status: try machine.frontEnd.demand(.setStatus, bytes(of: UInt64(0)))
      }
      #expect(machine.server.session.detachedCount == 0)
      #expect(machine.fileSystem.eventually { $0.cancelled == 1 })
      machine.requests.collect()
      #expect(machine.requests.completed.isEmpty)
      // Cancelling has let it go; it waits again when it is done again.
      machine.fileSystem.record.withLock { $0.isOpen = false }
      try machine.requests.start(base: 3)
      try machine.checkAlive()
      machine.fileSystem.release()
      #expect(try machine.requests.wait(for: 20) == 5016)
      let reply = machine.frontEnd.read(5000, at: TestMachine.high + 8192)
      #expect(reply == SampleFileSystem.bigBytes(at: 0, count: 5000))
      #expect(try machine.requests.stop() == machine.requests.availableIndex)
      #expect(machine.shutDown())
    }
  }

  @Test("a machine restarts while a fetch hangs, and is not answered what it did not ask")
  func restart() async throws {
    try await onThread {
      let machine = try TestMachine(configuration: Self.impatient())
      try machine.initialize()
      try machine.submitSlow(at: 20)
      #expect(try machine.requests.stop() == 2)
      let slowReads = machine.fileSystem.record.withLock { $0.slowReads }
      machine.requests.restart()
      try machine.requests.start(base: 0)
      try machine.initialize()
      try machine.checkAlive()
      #expect(machine.requests.completed.isEmpty)
      #expect(machine.fileSystem.record.withLock { $0.slowReads } == slowReads)
    }
  }

  @Test("memory changes while a fetch hangs, which is done again")
  func memory() async throws {
    try await onThread {
      let machine = try TestMachine(configuration: Self.impatient())
      try machine.initialize()
      try machine.submitSlow(at: 20)
      try machine.frontEnd.setMemoryTable()
      machine.fileSystem.release()
      #expect(try machine.requests.wait(for: 20) == 5016)
      let reply = machine.frontEnd.read(5000, at: TestMachine.high + 8192)
      #expect(reply == SampleFileSystem.bigBytes(at: 0, count: 5000))
      try machine.checkAlive()
    }
  }

  /// When answers are of no use any more.
  enum End: CaseIterable {
    case resetDevice
    case disconnect
    case stopRing
  }

  @Test("no answer that comes too late touches guest memory", arguments: End.allCases)
  func lateAnswers(_ end: End) async throws {
    try await onThread {
      let machine = try TestMachine(configuration: Self.impatient())
      try machine.initialize()
      try machine.submitSlow(at: 20)
      let mark = [UInt8](repeating: 0x5A, count: 16384)
      machine.frontEnd.write(mark, at: TestMachine.high + 4096)
      switch end {
      case .resetDevice: try machine.frontEnd.demand(.resetDevice)
      case .disconnect: #expect(machine.shutDown())
      case .stopRing: _ = try machine.requests.stop()
      }
      machine.fileSystem.release()
      #expect(machine.fileSystem.eventually { $0.cancelled == 1 })
      #expect(machine.shutDown())
      machine.requests.collect()
      #expect(machine.requests.completed.isEmpty)
      #expect(machine.frontEnd.read(mark.count, at: TestMachine.high + 4096) == mark)
    }
  }

  @Test("memory that was removed is unmapped, under rings that are switched off as well")
  func disabledRings() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let extra = FrontEnd.Region(guest: 1 << 41, size: 1 << 20, user: 1 << 41, name: "off-to-go")
      try machine.frontEnd.addRegion(extra)
      try machine.checkAlive()
      for ring in [machine.hiprio, machine.requests] {
        try machine.frontEnd.demand(.setRingEnabled, ring.state(0))
      }
      func mappings() throws -> Int {
        try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
          .split(separator: "\n").count { $0.contains("off-to-go") }
      }
      // One of the test's own, one of the device's.
      #expect(try mappings() == 2)
      try machine.frontEnd.removeRegion(extra)
      #expect(try mappings() == 1)
      for ring in [machine.hiprio, machine.requests] {
        try machine.frontEnd.demand(.setRingEnabled, ring.state(1))
      }
      try machine.checkAlive()
      withExtendedLifetime(extra) {}
    }
  }

  @Test("a killed guest is forgotten, one that its monitor can bring back is not")
  func sessions() async throws {
    try await onThread {
      let killed = try TestMachine()
      try killed.initialize()
      #expect(killed.shutDown())
      #expect(killed.fileSystem.record.withLock { $0.destroys } == 1)
      #expect(killed.server.session.agreement == nil)

      let kept = try TestMachine(starts: false)
      try kept.frontEnd.negotiate()
      try kept.frontEnd.setMemoryTable()
      let wish = InflightDescription(size: 0, offset: 0, queueCount: 2, queueSize: 64)
      try kept.frontEnd.send(.getInflight, bytes(of: wish))
      let (area, descriptors) = try kept.frontEnd.reply(to: .getInflight)
      try kept.frontEnd.demand(.setInflight, area, descriptors: descriptors)
      for descriptor in descriptors { close(descriptor) }
      try kept.requests.start()
      try kept.initialize()
      #expect(kept.shutDown())
      #expect(kept.server.session.agreement != nil)
      #expect(kept.fileSystem.record.withLock { $0.destroys } == 0)
    }
  }

  @Test("eventfds of the monitor stay as they are, and one that blocks blocks nobody")
  func blockingEvents() async throws {
    try await onThread {
      let machine = try TestMachine(starts: false)
      try machine.frontEnd.negotiate()
      try machine.frontEnd.setMemoryTable()
      let ring = GuestQueue(machine.frontEnd, index: 1, base: 0x40000, eventsBlock: true)
      try ring.start()
      for file in [ring.kick, ring.call, ring.error] {
        #expect(fcntl(file, F_GETFL) & O_NONBLOCK == 0)
      }
      let request = Message.initialize(unique: 2)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      let parts: [GuestQueue.Part] = [
        .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
        .init(address: TestMachine.replyAddress, count: 200, isWritable: true),
      ]
      ring.lay(parts, at: 0)
      ring.submit(0)
      #expect(try ring.wait(for: 0) == 80)
      // Full to the brim: signalling it would wait for a reader.
      try machine.frontEnd.demand(.setRingEnabled, ring.state(0))
      var brim: UInt64 = 0
      _ = CLinux_eventfd_read(ring.call, &brim)
      brim = .max - 1
      #expect(write(ring.call, &brim, 8) == 8)
      try machine.frontEnd.demand(.setRingEnabled, ring.state(1))
      ring.submit(0)
      ring.submit(0, kicks: false)
      while true {
        ring.collect()
        if ring.seenUsed == ring.availableIndex { break }
        ring.kickAlways()
        usleep(1000)
      }
      #expect(try ring.stop() == 3)
      #expect(machine.shutDown())
    }
  }
}
