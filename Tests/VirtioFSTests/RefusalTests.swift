import CLinux
import FUSE
import Foundation
import Glibc
import Platform
import Testing

@testable import VirtioFS

/// What front ends must not say, where they asked to be told.
@Suite("Refused messages")
struct RefusalTests {
  @Test("nonsense is refused, and the device works on")
  func refusals() async throws {
    try await onThread {
      let machine = try TestMachine()
      try machine.initialize()
      let frontEnd = machine.frontEnd
      let file = memfd_create("other", 0)
      defer { close(file) }
      ftruncate(file, 1 << 20)
      let event = eventfd(0, 0)
      defer { close(event) }
      func refuse(
        _ request: VhostUserRequest,
        _ payload: [UInt8] = [],
        _ descriptors: [CInt] = [],
        line: Int = #line
      ) throws {
        let isRefused = try !frontEnd.acknowledged(request, payload, descriptors: descriptors)
        #expect(isRefused, "line \(line)")
        try machine.checkAlive()
      }
      func state(_ index: UInt32, _ number: UInt32) -> [UInt8] {
        bytes(of: RingStateLayout(index: index, number: number))
      }
      // Sizes of payloads.
      try refuse(.setFeatures)
      try refuse(.setFeatures, [0, 0, 0, 0])
      try refuse(.setFeatures, [UInt8](repeating: 0, count: 9))
      try refuse(.setOwner, [0])
      try refuse(.setRingSize, [0])
      try refuse(.setRingAddresses, [0])
      // Features that were not offered.
      try refuse(.setFeatures, bytes(of: UInt64(1 << 33)))
      try refuse(.setProtocolFeatures, bytes(of: UInt64(1 << 5)))
      try refuse(.setConfiguration, [UInt8](repeating: 0, count: 16))
      // Rings that there are not, sizes that cannot be.
      for index in [2, 255, UInt32.max] {
        try refuse(.setRingSize, state(index, 16))
        try refuse(.setRingBase, state(index, 0))
        try refuse(.setRingEnabled, state(index, 1))
        try refuse(.setRingKick, bytes(of: UInt64(index)), [event])
        try refuse(.setRingCall, bytes(of: UInt64(index)), [event])
      }
      for size in [0, 3, 65536, 32, UInt32.max] { try refuse(.setRingSize, state(1, size)) }
      try refuse(.setRingBase, state(1, 7))
      try refuse(.setRingBase, state(1, 65536))
      try refuse(.setRingEnabled, state(1, 2))
      // Descriptors that lack, or are too many.
      for request in [VhostUserRequest.setRingKick, .setRingCall, .setRingError] {
        try refuse(request, bytes(of: UInt64(1)))
        try refuse(request, bytes(of: UInt64(0x101)), [event])
        try refuse(request, bytes(of: UInt64(0x201)), [event])
        try refuse(request, bytes(of: UInt64(1)), [event, event])
      }
      try refuse(.setRingKick, bytes(of: UInt64(0x101)))
      try refuse(.setFeatures, bytes(of: VirtioFeatures.offered.rawValue), [file])
      // What is no eventfd.
      var pipe: [CInt] = [0, 0]
      #expect(Glibc.pipe(&pipe) == 0)
      defer { for end in pipe { close(end) } }
      for request in [VhostUserRequest.setRingKick, .setRingCall, .setRingError] {
        for descriptor in pipe + [file, frontEnd.socket] {
          try refuse(request, bytes(of: UInt64(1)), [descriptor])
        }
      }
      // Addresses that are nowhere, unaligned, or would be logged.
      func addresses(_ change: (inout RingAddresses) -> Void) -> [UInt8] {
        var message = machine.requests.addresses.withUnsafeBytes {
          $0.loadUnaligned(as: RingAddresses.self)
        }
        change(&message)
        return bytes(of: message)
      }
      // Well formed, but where no memory is: the ring goes on where it was.
      try refuse(.setRingAddresses, addresses { $0.used = 1 << 60 })
      try refuse(.setRingAddresses, addresses { $0.descriptors = 1 << 60 })
      try refuse(.setRingAddresses, addresses { $0.flags = 1 })
      try refuse(.setRingAddresses, addresses { $0.descriptors += 8 })
      try refuse(.setRingAddresses, addresses { $0.available += 1 })
      try refuse(.setRingAddresses, addresses { $0.used += 2 })
      // Regions.
      func region(_ guest: UInt64, _ size: UInt64, _ user: UInt64, _ offset: UInt64) -> [UInt8] {
        let message = RegionDescription(
          guestAddress: guest,
          size: size,
          userAddress: user,
          fileOffset: offset
        )
        return bytes(of: UInt64(0)) + bytes(of: message)
      }
      let free: UInt64 = 1 << 40
      try refuse(.addMemoryRegion, region(free, 4096, free, 0))
      try refuse(.addMemoryRegion, region(free, 4096, free, 0), [file, file])
      try refuse(.addMemoryRegion, region(free, 4096, free, 0), [event])
      try refuse(.addMemoryRegion, region(free, 0, free, 0), [file])
      try refuse(.addMemoryRegion, region(.max - 100, 4096, free, 0), [file])
      try refuse(.addMemoryRegion, region(free, 4096, .max - 100, 0), [file])
      try refuse(.addMemoryRegion, region(free, 4096, free, .max - 100), [file])
      try refuse(.addMemoryRegion, region(free, .max / 2, free, .max / 2), [file])
      // One byte more than the file has.
      try refuse(.addMemoryRegion, region(free, 1 << 20, free, 1), [file])
      // Overlaps in the guest, and in the front end.
      try refuse(.addMemoryRegion, region((1 << 20) - 1, 2, free, 0), [file])
      try refuse(.addMemoryRegion, region(free, 4096, 0x7f00_0000_1000, 0), [file])
      try refuse(.removeMemoryRegion, region(free, 4096, free, 0))
      try refuse(.removeMemoryRegion, region(0, 4096, 0x7f00_0000_0000, 0))
      try refuse(.setMemoryTable, bytes(of: UInt64(1)) + region(free, 4096, free, 0)[8...])
      try refuse(.setMemoryTable, bytes(of: UInt64(2)) + region(free, 4096, free, 0)[8...], [file])
      let many = (0..<33).flatMap { region(free + $0 << 20, 4096, free + $0 << 20, 0)[8...] }
      try refuse(.setMemoryTable, bytes(of: UInt64(33)) + many, [file])
      try refuse(.setMemoryTable, bytes(of: UInt32.max), [file])
      let same = Array(region(free, 4096, free, 0)[8...])
      try refuse(.setMemoryTable, bytes(of: UInt64(2)) + same + same, [file, file])
      // Requests in flight.
      try refuse(
        .setInflight,
        bytes(of: InflightDescription(size: 0, offset: 0, queueCount: 2, queueSize: 64)),
        [file]
      )
      try refuse(.setInflight, [0], [file])
      // And what there is not.
      for number in [0, 6, 7, 19, 22, 28, 33, 41, 42, 99, UInt32.max] {
        let header = bytes(of: number) + bytes(of: UInt32(9)) + bytes(of: UInt32(0))
        try frontEnd.send(bytes: header)
        let reply = try frontEnd.receive(20).bytes
        #expect(reply.suffix(8).contains { $0 != 0 })
        try machine.checkAlive()
      }
      #expect(machine.shutDown())
    }
  }
}
