import CLinux
import FUSE
import Foundation
import Glibc
import Platform
import Testing

@testable import VirtioFS

/// What front ends say: the usual, and what they must not.
@Suite("Conversations with front ends")
struct ConversationTests {
  @Test("features, queues and memory slots are told")
  func offers() async throws {
    try await onThread {
      var configuration = VirtioFSConfiguration()
      configuration.requestQueues = 3
      let machine = try TestMachine(configuration: configuration, starts: false)
      let frontEnd = machine.frontEnd
      #expect(try frontEnd.askNumber(.getFeatures) == 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32)
      let protocolFeatures = try frontEnd.askNumber(.getProtocolFeatures)
      #expect(protocolFeatures == 1 | 1 << 3 | 1 << 12 | 1 << 13 | 1 << 15 | 1 << 16)
      try frontEnd.send(.setProtocolFeatures, bytes(of: protocolFeatures))
      #expect(try frontEnd.askNumber(.getQueueCount) == 4)
      #expect(try frontEnd.askNumber(.getMaximumMemorySlots) == 509)
      try frontEnd.demand(.setStatus, bytes(of: UInt64(0xB)))
      #expect(try frontEnd.askNumber(.getStatus) == 0xB)
      try frontEnd.demand(.setStatus, bytes(of: UInt64(0)))
      #expect(try frontEnd.askNumber(.getStatus) == 0)
      try frontEnd.demand(.resetOwner)
    }
  }

  @Test("the configuration space has tag and queues, if there is a tag")
  func configurationSpace() async throws {
    try await onThread {
      var configuration = VirtioFSConfiguration()
      configuration.tag = "tree"
      configuration.requestQueues = 2
      let machine = try TestMachine(configuration: configuration, starts: false)
      let frontEnd = machine.frontEnd
      let offered = try frontEnd.askNumber(.getProtocolFeatures)
      #expect(offered & 1 << 9 != 0)
      try frontEnd.send(.setProtocolFeatures, bytes(of: offered))
      func ask(_ offset: UInt32, _ size: UInt32, bytes count: Int? = nil) throws -> [UInt8] {
        let head = bytes(of: ConfigurationLayout(offset: offset, size: size, flags: 0))
        let room = [UInt8](repeating: 0, count: count ?? Int(size))
        return try frontEnd.ask(.getConfiguration, head + room)
      }
      let whole = try ask(0, 40)
      #expect(whole.count == 52)
      #expect(
        Array(whole[12...]) == Array("tree".utf8) + [UInt8](repeating: 0, count: 32) + [2, 0, 0, 0]
      )
      #expect(Array(try ask(36, 4)[12...]) == [2, 0, 0, 0])
      #expect(try ask(200, 56).count == 68)
      // Beyond the end: nothing comes back.
      #expect(try ask(200, 57).isEmpty)
      #expect(try ask(.max, 4).isEmpty)
      #expect(try ask(0, .max, bytes: 4).isEmpty)
      #expect(try !frontEnd.acknowledged(.setConfiguration, [UInt8](repeating: 0, count: 16)))
    }
  }

  /// What ends the conversation whatever was agreed on: the next message could not be found.
  @Test(
    "broken framing ends the connection",
    arguments: [
      (1, 0, 0), (1, 2, 0), (1, 3, 0), (1, 5, 0), (1, 0x11, 0), (1, 1, 4097), (1, 1, UInt32.max),
      (0, 0xFFFF_FFFF, 0),
    ] as [(UInt32, UInt32, UInt32)]
  )
  func framing(request: UInt32, flags: UInt32, size: UInt32) async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.frontEnd.send(bytes: bytes(of: request) + bytes(of: flags) + bytes(of: size))
      #expect(machine.frontEnd.isHungUp())
      #expect(machine.waitForEnd())
      let faults = machine.events.withLock { events in
        events.filter { if case .frontEndFault = $0 { true } else { false } }.count
      }
      #expect(faults == 1)
    }
  }

  @Test("without acknowledgements a refusal ends the connection")
  func refusalWithoutAcknowledgement() async throws {
    try await onThread {
      let machine = try TestMachine(starts: false)
      try machine.frontEnd.send(.setFeatures, bytes(of: UInt64.max), needsReply: true)
      #expect(machine.frontEnd.isHungUp())
    }
  }

  @Test("messages cut short end the connection", arguments: [1, 11, 12, 15])
  func cutShort(count: Int) async throws {
    try await onThread {
      let machine = try TestMachine()
      let header = bytes(of: MessageHeader(request: 2, size: 8))
      try machine.frontEnd.send(bytes: Array((header + [0, 0, 0]).prefix(count)))
      #expect(machine.shutDown())
    }
  }

  @Test("a reply was never asked for: GET_ messages with bad content end the connection")
  func brokenQuestions() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.frontEnd.send(.getRingBase, machine.requests.state(0).map { $0 | 0x80 })
      #expect(machine.frontEnd.isHungUp())
    }
  }

  @Test("descriptors behind the header end the connection")
  func lateDescriptors() async throws {
    try await onThread {
      let machine = try TestMachine()
      let header = bytes(of: MessageHeader(request: VhostUserRequest.setRingCall.rawValue, size: 8))
      try machine.frontEnd.send(bytes: header)
      try machine.frontEnd.send(bytes: bytes(of: UInt64(1)), descriptors: [machine.requests.call])
      #expect(machine.frontEnd.isHungUp())
    }
  }

  @Test("a ring stops where it is, and goes on from there")
  func stopAndGoOn() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      for _ in 0..<10 { try machine.checkAlive() }
      let base = try machine.requests.stop()
      #expect(base == 11)
      // Made available while the ring stands still.
      let request = Message.getattr(2, unique: 5)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      machine.requests.lay(
        [
          .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
          .init(address: TestMachine.replyAddress, count: 200, isWritable: true),
        ],
        at: 0
      )
      machine.requests.submit(0)
      try machine.requests.start(base: base)
      #expect(try machine.requests.wait(for: 0) == 120)
      // The same by switching it off and on.
      try machine.frontEnd.demand(.setRingEnabled, machine.requests.state(0))
      machine.requests.submit(0)
      usleep(10_000)
      machine.requests.collect()
      #expect(machine.requests.completed.isEmpty)
      try machine.frontEnd.demand(.setRingEnabled, machine.requests.state(1))
      #expect(try machine.requests.wait(for: 0) == 120)
    }
  }

  @Test("without bit 30 rings run as soon as they have a kick")
  func withoutProtocolFeatures() async throws {
    try await onThread {
      let machine = try TestMachine(starts: false)
      let frontEnd = machine.frontEnd
      try frontEnd.negotiate(
        features: [.version1, .eventIndex, .indirectDescriptors],
        protocolFeatures: .replyAcknowledgement
      )
      try frontEnd.setMemoryTable()
      try machine.requests.start(enables: false)
      try machine.initialize()
      try machine.checkAlive()
    }
  }

  @Test("stopping a ring waits for what is in flight", arguments: [true, false])
  func stopWithRequestsInFlight(byTable: Bool) async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      try machine.submitSlow(at: 20)
      let file = machine.fileSystem
      let release = try NativeThread(name: "release") {
        usleep(50_000)
        file.release()
      }
      if byTable {
        // A new table: the old memory is needed until then.
        try machine.frontEnd.setMemoryTable()
      } else {
        #expect(try machine.requests.stop() == 2)
      }
      release.join()
      // Answered before the front end had its reply.
      machine.requests.collect()
      #expect(machine.requests.completed[20] == 5016)
      let reply = machine.frontEnd.read(5000, at: TestMachine.high + 8192)
      #expect(reply == SampleFileSystem.bigBytes(at: 0, count: 5000))
      if byTable { try machine.checkAlive() }
    }
  }

  @Test("a front end that goes away while requests are in flight is let go")
  func goneWhileInFlight() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      try machine.submitSlow(at: 20)
      // The task is told, and nothing waits for it.
      #expect(machine.shutDown())
      #expect(machine.server.session.detachedCount == 0)
      #expect(machine.fileSystem.eventually { $0.cancelled == 1 })
      machine.requests.collect()
      #expect(machine.requests.completed.isEmpty)
    }
  }

  @Test("a front end that goes away while a ring is being stopped is let go")
  func goneWhileStopping() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      try machine.submitSlow(at: 20)
      try machine.frontEnd.send(.getRingBase, machine.requests.state(0))
      usleep(20_000)
      #expect(machine.shutDown())
    }
  }

  @Test("RESET_DEVICE drops what is in flight and forgets the session")
  func resetDevice() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      try machine.submitSlow(at: 20)
      try machine.frontEnd.demand(.resetDevice)
      #expect(machine.fileSystem.record.withLock { $0.destroys } == 1)
      #expect(machine.fileSystem.eventually { $0.cancelled == 1 })
      machine.requests.restart()
      try machine.requests.start()
      let refused = try machine.call(Message.getattr(2, unique: 4))
      #expect(refused.error == -EIO)
      try machine.initialize()
      try machine.checkAlive()
    }
  }

  @Test("memory is added and removed while requests are in flight")
  func memorySlots() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let frontEnd = machine.frontEnd
      for round in 0..<5 {
        try machine.submitSlow(at: 20)
        let extra = FrontEnd.Region(
          guest: 1 << 41,
          size: 1 << 20,
          user: 1 << 41,
          name: "slot-to-go"
        )
        try frontEnd.addRegion(extra)
        // Usable at once, while the other still waits.
        let request = Message.read(3, offset: 100, size: 4000, unique: 8)
        frontEnd.write(request, at: 1 << 41)
        machine.requests.lay(
          [
            .init(address: 1 << 41, count: UInt32(request.count)),
            .init(address: 1 << 41 + 8192, count: 4016, isWritable: true),
          ],
          at: 40
        )
        machine.requests.submit(40)
        #expect(try machine.requests.wait(for: 40) == 4016)
        #expect(machine.requests.completed.isEmpty)
        let reply = try GuestReply(frontEnd.read(4016, at: 1 << 41 + 8192))
        #expect(reply.body == SampleFileSystem.bigBytes(at: 100, count: 4000))
        machine.fileSystem.release()
        try frontEnd.removeRegion(extra)
        #expect(try machine.requests.wait(for: 20) == 5016)
        // What lay there is no memory any more.
        if round == 4 {
          machine.requests.submit(40)
          #expect(machine.requests.waitForFault())
        }
        machine.fileSystem.record.withLock { $0.isOpen = false }
      }
      // Unmapped here as well as there.
      let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
      #expect(!maps.contains("slot-to-go"))
      #expect(machine.shutDown())
    }
  }
}
