import CLinux
import FUSE
import Foundation
import Platform
import Testing

@testable import VirtioFS

/// Memory that comes and goes, and memory that is not there.
@Suite("Guest memory")
struct MemoryTests {
  @Test("a table may have 32 regions, and memory in each of them is used")
  func manyRegions() async throws {
    try await onThread {
      let machine = try TestMachine(starts: false)
      machine.frontEnd.regions += (3..<32).map { index in
        FrontEnd.Region(
          guest: (1 << 40) + UInt64(index) << 24,
          size: 1 << 16,
          user: (1 << 40) + UInt64(index) << 24
        )
      }
      try machine.frontEnd.negotiate()
      try machine.frontEnd.setMemoryTable()
      try machine.requests.start()
      try machine.initialize()
      let read = Message.read(3, offset: 11, size: 100, unique: 4)
      machine.frontEnd.write(read, at: TestMachine.requestAddress)
      for index in 3..<32 {
        let place = (1 << 40) + UInt64(index) << 24
        machine.requests.lay(
          [
            .init(address: TestMachine.requestAddress, count: UInt32(read.count)),
            .init(address: place, count: 116, isWritable: true),
          ],
          at: 0
        )
        machine.requests.submit(0)
        #expect(try machine.requests.wait(for: 0) == 116)
        let reply = try GuestReply(machine.frontEnd.read(116, at: place))
        #expect(reply.body == SampleFileSystem.bigBytes(at: 11, count: 100))
      }
    }
  }

  @Test("memory that is plugged in is used, also after a restart of the guest")
  func hotPlug() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let frontEnd = machine.frontEnd
      let plugged = FrontEnd.Region(guest: 1 << 41, size: 1 << 20, user: 1 << 41)
      try frontEnd.addRegion(plugged)
      for round in 0..<3 {
        if round > 0 {
          // As a monitor does at a restart: rings stop, the memory is split otherwise, rings start.
          for ring in [machine.hiprio, machine.requests] { _ = try ring.stop() }
          try frontEnd.demand(.setStatus, bytes(of: UInt64(0)))
          if round == 1 {
            try frontEnd.removeRegion(plugged)
            try frontEnd.addRegion(plugged)
          } else {
            try frontEnd.setMemoryTable()
          }
          for ring in [machine.hiprio, machine.requests] {
            ring.restart()
            try ring.start()
          }
          try machine.initialize()
        }
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
        let reply = try GuestReply(frontEnd.read(4016, at: 1 << 41 + 8192))
        #expect(reply.body == SampleFileSystem.bigBytes(at: 100, count: 4000))
      }
    }
  }

  /// What the missing memory was for.
  enum Use: CaseIterable, Codable {
    case request
    case reply
    case data
    case table
    case ring
  }

  @Test("memory that the host has not stops the ring, not the process", arguments: Use.allCases)
  func missing(_ use: Use) async throws {
    // A process of its own: it may be the one that ends.
    await #expect(processExitsWith: .success) { [use] in
      let machine = try TestMachine()
      try machine.initialize()
      try Self.checkMissing(use, machine)
      guard machine.waitForFault() == RingFault.memoryMissing.description else { exit(1) }
      // Nothing was passed off as an answer, unless it said that it failed.
      if use == .reply || use == .data {
        machine.requests.collect()
        guard machine.requests.completed[8] == nil || machine.requests.completed[8] == 16 else {
          exit(2)
        }
      }
      guard machine.shutDown() else { exit(3) }
      // And the next machine is served.
      let next = try TestMachine()
      try next.initialize()
      try next.checkAlive()
      exit(0)
    }
  }

  private static func checkMissing(_ use: Use, _ machine: TestMachine) throws {
    let frontEnd = machine.frontEnd
    let lost: UInt64 = 1 << 41
    let extra = FrontEnd.Region(guest: lost, size: 1 << 20, user: lost)
    try frontEnd.addRegion(extra)
    let request = Message.read(3, offset: 0, size: 100, unique: 4)
    frontEnd.write(request, at: TestMachine.requestAddress)
    var parts: [GuestQueue.Part] = [
      .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
      .init(address: TestMachine.replyAddress, count: 16, isWritable: true),
      .init(address: TestMachine.replyAddress + 512, count: 100, isWritable: true),
    ]
    let queue = machine.requests
    switch use {
    case .request: parts[0].address = lost
    case .reply: parts[1].address = lost
    case .data:
      // Not read from a file by the kernel, which would notice, but copied.
      frontEnd.write(Message.getattr(2, unique: 4), at: TestMachine.requestAddress)
      parts[0].count = 56
      parts[2] = .init(address: lost, count: 104, isWritable: true)
    case .table, .ring: break
    }
    if use == .ring {
      _ = try queue.stop()
      let there = GuestQueue(frontEnd, index: 1, base: lost)
      try there.start()
      #expect(ftruncate(extra.file, 0) == 0)
      there.kickAlways()
      return
    }
    if use == .table {
      queue.layIndirect(parts, at: 8, table: lost)
    } else {
      queue.lay(parts, at: 8)
    }
    // The pages are gone, as if there had never been room for them.
    #expect(ftruncate(extra.file, 0) == 0)
    queue.submit(8)
  }

  @Test("memory on a full tmpfs stops the ring, not the process")
  func fullFileSystem() async throws {
    await #expect(processExitsWith: .success) {
      let folder = ServerTests.Folder()
      guard mount("none", folder.path, "tmpfs", 0, "size=16k") == 0 else {
        print("mount: \(Errno.current)")
        exit(1)
      }
      let file = open(folder.path + "/memory", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      // Gone with the last who uses it.
      umount2(folder.path, CInt(MNT_DETACH))
      guard file >= 0, ftruncate(file, 1 << 20) == 0 else { exit(2) }
      let machine = try TestMachine()
      try machine.initialize()
      let description = RegionDescription(
        guestAddress: 1 << 41,
        size: 1 << 20,
        userAddress: 1 << 41,
        fileOffset: 0
      )
      try machine.frontEnd.demand(
        .addMemoryRegion,
        bytes(of: UInt64(0)) + bytes(of: description),
        descriptors: [file]
      )
      let request = Message.getattr(2, unique: 4)
      machine.frontEnd.write(request, at: TestMachine.requestAddress)
      for page in 0..<256 {
        machine.requests.lay(
          [
            .init(address: TestMachine.requestAddress, count: UInt32(request.count)),
            .init(address: 1 << 41 + UInt64(page) * 4096, count: 200, isWritable: true),
          ],
          at: 0
        )
        machine.requests.submit(0)
        var isAnswered = false
        while !isAnswered && !machine.events.withLock({ $0.contains(where: \.isRingFault) }) {
          usleep(500)
          machine.requests.collect()
          isAnswered = machine.requests.completed.removeValue(forKey: 0) != nil
        }
        if !isAnswered { break }
      }
      guard machine.waitForFault() == RingFault.memoryMissing.description else { exit(3) }
      exit(machine.shutDown() ? 0 : 4)
    }
  }
}

extension VirtioFSEvent {
  fileprivate var isRingFault: Bool {
    if case .ringFault = self { true } else { false }
  }
}
