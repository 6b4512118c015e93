import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// What a guest can write into its rings that it must not.
@Suite("Hostile rings")
struct HostileRingTests {
  typealias Part = GuestQueue.Part

  /// A way to break a ring. What is submitted must stop it.
  enum Malformation: CaseIterable {
    case availableIndexJumps
    case headOutOfRange
    case headInUse
    case nextOutOfRange
    case loop
    case loopOfOne
    case readableAfterWritable
    case addressOutsideMemory
    case addressInGap
    case endOutsideMemory
    case addressOverflows
    case sumTooLarge
    case indirectUneven
    case indirectEmpty
    case indirectNested
    case indirectWithNext
    case indirectOutside
    case indirectEndOutside
    case indirectNextOutside
    case indirectLoop

    /// What the device must have found.
    var fault: RingFault {
      switch self {
      case .availableIndexJumps: .tooManyAvailable(65)
      case .headOutOfRange: .headOutOfRange(64)
      case .headInUse: .headInUse(0)
      case .nextOutOfRange: .nextOutOfRange(64)
      case .loop, .loopOfOne, .indirectLoop: .chainTooLong
      case .readableAfterWritable: .readableAfterWritable
      case .addressOutsideMemory: .outsideMemory(1 << 50, 16)
      case .addressInGap: .outsideMemory(2 << 20, 16)
      case .endOutsideMemory: .outsideMemory((2 << 20) - 8, 16)
      case .addressOverflows: .outsideMemory(.max - 7, 16)
      case .sumTooLarge: .chainTooLarge
      case .indirectUneven: .indirectLength(40)
      case .indirectEmpty: .indirectLength(0)
      case .indirectNested, .indirectWithNext: .indirectMisused
      case .indirectOutside: .outsideMemory(1 << 40, 32)
      case .indirectEndOutside: .outsideMemory((2 << 20) - 16, 32)
      case .indirectNextOutside: .nextOutOfRange(2)
      }
    }
  }

  @Test("a malformed chain stops the ring and nothing else", arguments: Malformation.allCases)
  func malformed(_ malformation: Malformation) async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let queue = machine.requests
      let memory = machine.frontEnd
      let good = Part(address: TestMachine.requestAddress, count: 56)
      let room = Part(address: TestMachine.replyAddress, count: 256, isWritable: true)
      let tableAddress: UInt64 = 0xC0000
      memory.write(Message.getattr(2, unique: 3), at: TestMachine.requestAddress)
      let before = memory.read(Int(TestMachine.seam) / 4, at: 0xA0000)
      queue.lay([good, room], at: 0)
      switch malformation {
      case .availableIndexJumps:
        queue.setAvailableIndex(queue.availableIndex &+ queue.size &+ 1)
        queue.kickAlways()
      case .headOutOfRange:
        queue.submit(queue.size)
      case .headInUse:
        let slow = Message.read(4, offset: 0, size: 10, unique: 9)
        memory.write(slow, at: TestMachine.requestAddress)
        queue.lay([.init(address: good.address, count: UInt32(slow.count)), room], at: 0)
        queue.submit(0)
        queue.submit(0)
      case .nextOutOfRange:
        queue.setDescriptor(0, GuestQueue.descriptor(good, flags: 1, next: queue.size))
        queue.submit(0)
      case .loop:
        queue.setDescriptor(0, GuestQueue.descriptor(good, flags: 1, next: 1))
        queue.setDescriptor(1, GuestQueue.descriptor(good, flags: 1, next: 0))
        queue.submit(0)
      case .loopOfOne:
        queue.setDescriptor(0, GuestQueue.descriptor(room, flags: 1, next: 0))
        queue.submit(0)
      case .readableAfterWritable:
        queue.lay([good, room, good], at: 0)
        queue.submit(0)
      case .addressOutsideMemory:
        queue.lay([good, .init(address: 1 << 50, count: 16, isWritable: true)], at: 0)
        queue.submit(0)
      case .addressInGap:
        queue.lay([good, .init(address: 2 << 20, count: 16, isWritable: true)], at: 0)
        queue.submit(0)
      case .endOutsideMemory:
        queue.lay([good, .init(address: (2 << 20) - 8, count: 16, isWritable: true)], at: 0)
        queue.submit(0)
      case .addressOverflows:
        queue.lay([good, .init(address: .max - 7, count: 16, isWritable: true)], at: 0)
        queue.submit(0)
      case .sumTooLarge:
        // So much memory that two descriptors of the greatest length fit, with nothing in it.
        try memory.addRegion(FrontEnd.Region(guest: 1 << 44, size: 5 << 30, user: 1 << 44))
        let huge = Part(address: 1 << 44, count: .max)
        queue.lay([good, huge, huge], at: 0)
        queue.submit(0)
      case .indirectUneven, .indirectEmpty:
        let count: UInt32 = malformation == .indirectEmpty ? 0 : 40
        queue.layIndirect([good, room], at: 0, table: tableAddress)
        queue.setDescriptor(
          0,
          GuestQueue.descriptor(.init(address: tableAddress, count: count), flags: 4)
        )
        queue.submit(0)
      case .indirectNested:
        queue.layIndirect([good, room], at: 0, table: tableAddress)
        memory.write(
          GuestQueue.descriptor(.init(address: tableAddress, count: 32), flags: 4),
          at: tableAddress + 16
        )
        queue.submit(0)
      case .indirectWithNext:
        queue.layIndirect([good, room], at: 0, table: tableAddress)
        queue.setDescriptor(
          0,
          GuestQueue.descriptor(.init(address: tableAddress, count: 32), flags: 5, next: 1)
        )
        queue.submit(0)
      case .indirectOutside, .indirectEndOutside:
        let address: UInt64 = malformation == .indirectOutside ? 1 << 40 : (2 << 20) - 16
        queue.setDescriptor(
          0,
          GuestQueue.descriptor(.init(address: address, count: 32), flags: 4)
        )
        queue.submit(0)
      case .indirectNextOutside:
        queue.layIndirect([good, room], at: 0, table: tableAddress)
        memory.write(GuestQueue.descriptor(good, flags: 1, next: 2), at: tableAddress)
        queue.submit(0)
      case .indirectLoop:
        queue.layIndirect([good, room], at: 0, table: tableAddress)
        memory.write(GuestQueue.descriptor(good, flags: 1, next: 0), at: tableAddress)
        queue.submit(0)
      }
      #expect(queue.waitForFault())
      #expect(machine.waitForFault() == malformation.fault.description)
      if malformation != .headInUse {
        #expect(
          memory.read(Int(TestMachine.seam) / 4, at: 0xA0000) == before || usesTable(malformation)
        )
      }
      // The other ring goes on.
      memory.write(Message.forget(2, count: 1, unique: 7), at: 0x90000)
      machine.hiprio.lay([.init(address: 0x90000, count: 48)], at: 3)
      machine.hiprio.submit(3)
      #expect(try machine.hiprio.wait(for: 3) == 0)
      // The broken one does not, until the driver has reset it.
      machine.fileSystem.release()
      queue.submit(8)
      _ = try queue.stop()
      let again = GuestQueue(memory, index: 1, base: 0x60000)
      try again.start()
      memory.write(Message.getattr(2, unique: 3), at: TestMachine.requestAddress)
      again.lay([good, room], at: 0)
      again.submit(0)
      #expect(try again.wait(for: 0) == 120)
      #expect(machine.shutDown())
    }
  }

  private func usesTable(_ malformation: Malformation) -> Bool {
    switch malformation {
    case .indirectUneven, .indirectEmpty, .indirectNested, .indirectWithNext,
      .indirectNextOutside, .indirectLoop:
      true
    default:
      false
    }
  }

  @Test("indirect descriptors need to be agreed on")
  func indirectNotNegotiated() async throws {
    try await onThread {
      let machine = try TestMachine(features: [.version1, .eventIndex, .protocolFeatures])
      try machine.initialize()
      machine.requests.layIndirect(
        [.init(address: TestMachine.requestAddress, count: 56)],
        at: 0,
        table: 0xC0000
      )
      machine.requests.submit(0)
      #expect(machine.requests.waitForFault())
    }
  }

  @Test("what fits no request or no reply is handed back, and the ring goes on")
  func oddRequests() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let queue = machine.requests
      let address = TestMachine.requestAddress
      func exchange(_ request: [UInt8], room: UInt32) throws -> [UInt8] {
        machine.frontEnd.write(request, at: address)
        var parts = [Part(address: address, count: UInt32(request.count))]
        if room > 0 {
          parts.append(.init(address: TestMachine.replyAddress, count: room, isWritable: true))
        }
        queue.lay(parts, at: 0)
        queue.submit(0)
        let written = try queue.wait(for: 0)
        #expect(written <= room)
        return machine.frontEnd.read(Int(written), at: TestMachine.replyAddress)
      }
      let good = Message.getattr(2, unique: 4)
      // No header.
      #expect(try exchange([], room: 200).isEmpty)
      #expect(try exchange(Array(good.prefix(39)), room: 200).isEmpty)
      // No room, for a header or for the body.
      #expect(try exchange(good, room: 0).isEmpty)
      #expect(try exchange(good, room: 15).isEmpty)
      #expect(try GuestReply(exchange(good, room: 16)).error == -EIO)
      #expect(try GuestReply(exchange(good, room: 119)).error == -EIO)
      #expect(try GuestReply(exchange(good, room: 120)).error == 0)
      // A file, too: with room for a part of it only that part is asked for.
      let read = Message.read(3, offset: 0, size: .max, unique: 4)
      #expect(try GuestReply(exchange(read, room: 116)).body.count == 100)
      // Lengths that lie, names that are none.
      for length in [0, 39, 41, 57, 1000, UInt32.max] as [UInt32] {
        let request = Message.request(
          3,
          unique: 4,
          node: 2,
          [UInt8](repeating: 0, count: 16),
          length: length
        )
        #expect(try GuestReply(exchange(request, room: 200)).error == -EINVAL)
      }
      for name in ["", "a/b"] {
        let reply = try GuestReply(exchange(Message.lookup(name, unique: 2), room: 200))
        #expect(reply.error == -EINVAL)
      }
      let noEnd = Message.request(1, unique: 2, node: 1, Array("hello".utf8))
      #expect(try GuestReply(exchange(noEnd, room: 200)).error == -EINVAL)
      // More than any request needs.
      let long = Message.request(1, unique: 2, node: 1, [UInt8](repeating: 97, count: 0x1F000))
      #expect(try GuestReply(exchange(long, room: 200)).error < 0)
      // Every opcode there could be.
      for opcode in (0..<70).map(UInt32.init) + [4096, .max] where opcode != 26 && opcode != 38 {
        let request = Message.request(opcode, unique: 2, node: 2, [UInt8](repeating: 0, count: 64))
        let reply = try exchange(request, room: 4096)
        #expect(reply.isEmpty == [2, 41, 42].contains(opcode), "opcode \(opcode)")
      }
      try machine.checkAlive()
    }
  }

  @Test("requests before INIT are errors, FORGET is dropped")
  func beforeInit() async throws {
    try await onThread {
      let machine = try TestMachine()
      let reply = try machine.call(Message.getattr(2, unique: 4))
      #expect(reply.error == -EIO)
      machine.frontEnd.write(Message.forget(2, count: 1, unique: 7), at: 0x90000)
      machine.hiprio.lay([.init(address: 0x90000, count: 48)], at: 3)
      machine.hiprio.submit(3)
      #expect(try machine.hiprio.wait(for: 3) == 0)
      #expect(machine.fileSystem.record.withLock { $0.forgets.isEmpty })
      try machine.initialize()
      try machine.checkAlive()
    }
  }

  @Test("a table that the guest changes all the time is never believed twice")
  func changingTable() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let queue = machine.requests
      let good = Part(address: TestMachine.requestAddress, count: 56)
      let room = Part(address: TestMachine.replyAddress, count: 256, isWritable: true)
      let table: UInt64 = 0xC0000
      let isDone = Guarded(false)
      let place = UInt(bitPattern: machine.frontEnd.host(table + 24))
      let original = UInt64(256) | 2 << 32
      let flipper = try NativeThread(name: "flipper") {
        // Flips between a good length and one far outside of memory.
        guard let place = UnsafeMutableRawPointer(bitPattern: place) else { return }
        while !isDone.withLock({ $0 }) {
          for _ in 0..<1000 {
            CLinux_store64(place, original)
            CLinux_store64(place, UInt64(UInt32.max) | 2 << 32)
          }
          CLinux_store64(place, original)
        }
      }
      var faults = 0
      var ring = queue
      for _ in 0..<300 {
        machine.frontEnd.write(Message.getattr(2, unique: 3), at: TestMachine.requestAddress)
        ring.layIndirect([good, room], at: 0, table: table)
        ring.submit(0)
        var files = [
          pollfd(fd: ring.call, events: Int16(POLLIN), revents: 0),
          pollfd(fd: ring.error, events: Int16(POLLIN), revents: 0),
        ]
        while true {
          ring.collect()
          ring.collect()
          if ring.completed.removeValue(forKey: 0) != nil { break }
          #expect(poll(&files, 2, FrontEnd.timeout) > 0)
          if files[1].revents != 0 {
            faults += 1
            _ = try ring.stop()
            machine.frontEnd.write([UInt8](repeating: 0, count: 0x2000), at: queue.base)
            ring = GuestQueue(machine.frontEnd, index: 1, base: queue.base)
            try ring.start()
            break
          }
          var count: UInt64 = 0
          _ = read(ring.call, &count, 8)
        }
      }
      isDone.withLock { $0 = true }
      flipper.join()
      #expect(machine.shutDown())
    }
  }
}
