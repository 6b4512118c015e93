import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

@Suite("Requests through rings")
struct RequestTests {
  @Test("a guest initializes, looks up and reads", arguments: [true, false], [true, false])
  func basics(usesEventIndex: Bool, usesIndirect: Bool) async throws {
    try await onThread {
      var features = VirtioFeatures.offered
      if !usesEventIndex { features.remove(.eventIndex) }
      if !usesIndirect { features.remove(.indirectDescriptors) }
      let machine = try TestMachine(features: features)
      try machine.initialize()
      let found = try machine.call(Message.lookup("hello", unique: 6))
      #expect(found.error == 0)
      #expect(found.unique == 6)
      #expect(found.body.prefix(8).elementsEqual(bytes(of: UInt64(2))))
      let read = try machine.call(Message.read(2, offset: 6, size: 4000, unique: 8))
      #expect(read.error == 0)
      #expect(read.body == Array(SampleFileSystem.greeting[6...]))
      let missing = try machine.call(Message.lookup("nothing", unique: 10))
      #expect(missing.error == 0)
      #expect(missing.body.prefix(8).allSatisfy { $0 == 0 })
      for _ in 0..<300 { try machine.checkAlive() }
      #expect(machine.shutDown())
    }
  }

  @Test("listings fit the room that there is")
  func listings() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      for (size, room) in [(UInt32(4096), UInt32(4112)), (1 << 30, 1024), (512, 65536)] {
        var names: [String] = []
        var cookie: UInt64 = 0
        while true {
          let reply = try machine.call(
            Message.readdir(5, from: cookie, size: size, unique: machine.nextUnique()),
            room: room
          )
          #expect(reply.error == 0)
          #expect(reply.body.count <= size)
          guard !reply.body.isEmpty else { break }
          var position = 0
          while position < reply.body.count {
            reply.body.withUnsafeBytes { bytes in
              cookie = bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt64.self)
              let length = Int(bytes.loadUnaligned(fromByteOffset: position + 16, as: UInt32.self))
              let name = bytes[(position + 24)..<(position + 24 + length)]
              names.append(String(decoding: name, as: UTF8.self))
              position += (24 + length + 7) & ~7
            }
          }
        }
        #expect(names.count == SampleFileSystem.listCount + 2)
        #expect(names.last == "file-499")
      }
    }
  }

  @Test("a file is read into scattered pages, across regions", arguments: [true, false])
  func scatteredRead(usesIndirect: Bool) async throws {
    try await onThread {
      let machine = try TestMachine(queueSize: 128)
      try machine.initialize()
      let offset = 12345
      // Odd pieces in odd places: some adjacent, two over the seam of two regions, the rest high up.
      var parts: [GuestQueue.Part] = []
      var address = TestMachine.seam - 5000
      for count in [16, 1, 4983, 4096, 7, 3000] as [UInt32] {
        parts.append(.init(address: address, count: count, isWritable: true))
        address += UInt64(count)
      }
      for index in 0..<60 {
        let place = TestMachine.high + UInt64(59 - index) * 8192 + 4
        parts.append(.init(address: place, count: 4096, isWritable: true))
      }
      let room = parts.reduce(0) { $0 + Int($1.count) }
      let size = room - 16
      let request = Message.read(3, offset: UInt64(offset), size: UInt32(size), unique: 44)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      let chain =
        [
          GuestQueue.Part(address: TestMachine.requestAddress, count: 40),
          .init(address: TestMachine.requestAddress + 40, count: UInt32(request.count - 40)),
        ] + parts
      if usesIndirect {
        // The table itself lies over the seam.
        machine.requests.layIndirect(chain, at: 5, table: TestMachine.seam + 0x8000)
      } else {
        machine.requests.lay(chain, at: 5)
      }
      machine.requests.submit(5)
      #expect(try machine.requests.wait(for: 5) == UInt32(room))
      let reply = try GuestReply(
        parts.flatMap { machine.frontEnd.read(Int($0.count), at: $0.address) }
      )
      #expect(reply.error == 0)
      #expect(reply.body == SampleFileSystem.bigBytes(at: offset, count: size))
    }
  }

  @Test("a reply may consist of more pieces than one system call takes")
  func manyPieces() async throws {
    try await onThread {
      let machine = try TestMachine(queueSize: 2048)
      try machine.initialize()
      let pieces = (0..<1500).map { index in
        // With gaps between them, and from the top down.
        GuestQueue.Part(
          address: TestMachine.high + UInt64(1499 - index) * 1024,
          count: 500,
          isWritable: true
        )
      }
      let size = 1500 * 500 - 16
      let request = Message.read(3, offset: 99, size: UInt32(size), unique: 4)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      let start = GuestQueue.Part(
        address: TestMachine.requestAddress,
        count: UInt32(request.count)
      )
      machine.requests.lay([start] + pieces, at: 7)
      machine.requests.submit(7)
      #expect(try machine.requests.wait(for: 7) == UInt32(size + 16))
      let reply = try GuestReply(
        pieces.flatMap { machine.frontEnd.read(500, at: $0.address) }
      )
      #expect(reply.body == SampleFileSystem.bigBytes(at: 99, count: size))
    }
  }

  @Test("a file that is shorter than promised is an error, never a short reply")
  func shortFile() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      #expect(ftruncate(machine.fileSystem.big, 1 << 20) == 0)
      let reply = try machine.call(Message.read(3, offset: (1 << 20) - 10, size: 100, unique: 4))
      #expect(reply.error == -EIO)
      #expect(reply.body.isEmpty)
      try machine.checkAlive()
    }
  }

  @Test("an indirect table may be longer than the ring")
  func longTable() async throws {
    try await onThread {
      let machine = try TestMachine(queueSize: 16)
      try machine.initialize()
      let pieces = (0..<300).map { index in
        // Apart from each other, so that none is one with the next.
        GuestQueue.Part(
          address: TestMachine.high + UInt64(index) * 8192,
          count: 4096,
          isWritable: true
        )
      }
      let size = 300 * 4096 - 16
      let request = Message.read(3, offset: 7, size: UInt32(size), unique: 4)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      let start = GuestQueue.Part(
        address: TestMachine.requestAddress,
        count: UInt32(request.count)
      )
      machine.requests.layIndirect([start] + pieces, at: 7, table: 0xC0000)
      machine.requests.submit(7)
      #expect(try machine.requests.wait(for: 7) == UInt32(size + 16))
      let reply = try GuestReply(pieces.flatMap { machine.frontEnd.read(4096, at: $0.address) })
      #expect(reply.body == SampleFileSystem.bigBytes(at: 7, count: size))
      try machine.checkAlive()
    }
  }

  @Test("nothing is looked up for the thread ids of a guest: INTERRUPT is not supported")
  func interrupt() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      try machine.submitSlow(at: 20)
      for thread in [0, 1, UInt32(getpid()), .max] {
        var request = Message.request(36, unique: 90, node: 0, bytes(of: UInt64(70)))
        request.replaceSubrange(32..<36, with: bytes(of: thread))
        let reply = try machine.call(request)
        #expect(reply.error == -ENOSYS)
      }
      machine.fileSystem.release()
      #expect(try machine.requests.wait(for: 20) == 5016)
    }
  }

  @Test("an indirect table may lie across two regions")
  func indirectAcrossRegions() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let request = Message.getattr(2, unique: 3)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      machine.requests.layIndirect(
        [
          .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
          .init(address: TestMachine.replyAddress, count: 200, isWritable: true),
        ],
        at: 9,
        // 32 bytes, of which 8 lie before the seam.
        table: TestMachine.seam - 8
      )
      machine.requests.submit(9)
      #expect(try machine.requests.wait(for: 9) == 120)
    }
  }

  @Test("the high priority queue takes FORGET without a reply")
  func forget() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      for round in 1...100 {
        let request = Message.forget(2, count: 3, unique: 77)
        machine.frontEnd.write(request, at: 0x90000)
        machine.hiprio.lay([.init(address: 0x90000, count: UInt32(request.count))], at: 3)
        machine.hiprio.submit(3)
        #expect(try machine.hiprio.wait(for: 3) == 0)
        let sum = machine.fileSystem.record.withLock { $0.forgets[2] }
        #expect(sum == UInt64(3 * round))
      }
    }
  }

  @Test("a whole ring of requests is answered, over many rounds of its indices")
  func fullRing() async throws {
    try await onThread {
      let machine = try TestMachine(queueSize: 16)
      try machine.initialize()
      let request = Message.getattr(2, unique: 5)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      for _ in 0..<300 {
        for pair in 0..<UInt16(8) {
          machine.requests.lay(
            [
              .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
              .init(
                address: TestMachine.replyAddress + UInt64(pair) * 256,
                count: 200,
                isWritable: true
              ),
            ],
            at: pair * 2
          )
          machine.requests.submit(pair * 2)
        }
        for pair in 0..<UInt16(8) { #expect(try machine.requests.wait(for: pair * 2) == 120) }
      }
    }
  }

  @Test("DESTROY is answered, and INIT may follow on the same device")
  func destroyAndBeginAgain() async throws {
    try await onThread {
      let machine = try TestMachine()
      for round in 1...3 {
        try machine.initialize()
        try machine.checkAlive()
        let reply = try machine.call(Message.destroy(unique: 9))
        #expect(reply.error == 0)
        let record = machine.fileSystem.record.withLock { ($0.inits, $0.destroys) }
        #expect(record == (round, round))
        let refused = try machine.call(Message.getattr(2, unique: 11))
        #expect(refused.error == -EIO)
      }
    }
  }

  @Test("replies come later and out of order from other threads")
  func detached() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let count = 8
      for index in 0..<count {
        let request = Message.read(
          4,
          offset: UInt64(index * 1000),
          size: 5000,
          unique: UInt64(1000 + index)
        )
        let place = TestMachine.high + UInt64(index) * 16384
        machine.frontEnd.write(request, at: place)
        machine.requests.lay(
          [
            .init(address: place, count: UInt32(request.count)),
            .init(address: place + 4096, count: 16, isWritable: true),
            .init(address: place + 8192, count: 5000, isWritable: true),
          ],
          at: UInt16(10 + 4 * index)
        )
        machine.requests.submit(UInt16(10 + 4 * index))
      }
      // The thread is free for others meanwhile.
      try machine.checkAlive()
      machine.fileSystem.release()
      for index in (0..<count).reversed() {
        #expect(try machine.requests.wait(for: UInt16(10 + 4 * index)) == 5016)
        let place = TestMachine.high + UInt64(index) * 16384
        let reply = try GuestReply(
          machine.frontEnd.read(16, at: place + 4096)
            + machine.frontEnd.read(5000, at: place + 8192)
        )
        #expect(reply.unique == UInt64(1000 + index))
        #expect(reply.body == SampleFileSystem.bigBytes(at: index * 1000, count: 5000))
      }
    }
  }

  @Test("no more requests are taken than may be in flight")
  func flightLimit() async throws {
    try await onThread {
      var configuration = VirtioFSConfiguration()
      configuration.maximumInFlight = 4
      let machine = try TestMachine(configuration: configuration)
      try machine.initialize()
      for index in 0..<UInt16(10) {
        let request = Message.read(4, offset: 0, size: 100, unique: UInt64(50 + index))
        let place = TestMachine.high + UInt64(index) * 8192
        machine.frontEnd.write(request, at: place)
        machine.requests.lay(
          [
            .init(address: place, count: UInt32(request.count)),
            .init(address: place + 4096, count: 200, isWritable: true),
          ],
          at: 20 + 2 * index
        )
        machine.requests.submit(20 + 2 * index)
      }
      while machine.server.session.detachedCount < 4 { usleep(1000) }
      usleep(20_000)
      #expect(machine.server.session.detachedCount == 4)
      machine.fileSystem.release()
      for index in 0..<UInt16(10) {
        #expect(try machine.requests.wait(for: 20 + 2 * index) == 116)
      }
    }
  }
}
