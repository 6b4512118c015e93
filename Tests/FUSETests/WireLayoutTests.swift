import Testing

@testable import FUSE

@Suite("Wire structures lie in memory as in the protocol")
struct WireLayoutTests {
  struct Layout: Sendable {
    var name: String
    var size: Int
    var stride: Int
    var offsets: [Int?]
    var expectedSize: Int
    var expectedOffsets: [Int]
  }

  static func layout<Part>(
    _ type: Part.Type,
    _ size: Int,
    _ fields: [(PartialKeyPath<Part>, Int)]
  ) -> Layout {
    Layout(
      name: "\(type)",
      size: MemoryLayout<Part>.size,
      stride: MemoryLayout<Part>.stride,
      offsets: fields.map { MemoryLayout<Part>.offset(of: $0.0) },
      expectedSize: size,
      expectedOffsets: fields.map(\.1)
    )
  }

  static var requests: [Layout] {
    [
      layout(
        RequestHeader.self,
        40,
        [
          (\.length, 0), (\.opcode, 4), (\.unique, 8), (\.node, 16), (\.user, 24), (\.group, 28),
          (\.thread, 32), (\.extensionLength, 36), (\.padding, 38),
        ]
      ),
      layout(
        InitIn.self,
        64,
        [(\.major, 0), (\.minor, 4), (\.maxReadahead, 8), (\.flags, 12), (\.flags2, 16)]
      ),
      layout(GetattrIn.self, 16, [(\.flags, 0), (\.handle, 8)]),
      layout(OpenIn.self, 8, [(\.flags, 0), (\.openFlags, 4)]),
      layout(
        ReadIn.self,
        40,
        [
          (\.handle, 0), (\.offset, 8), (\.size, 16), (\.readFlags, 20), (\.lockOwner, 24),
          (\.flags, 32),
        ]
      ),
      layout(
        ReleaseIn.self,
        24,
        [(\.handle, 0), (\.flags, 8), (\.releaseFlags, 12), (\.lockOwner, 16)]
      ),
      layout(FlushIn.self, 24, [(\.handle, 0), (\.unused, 8), (\.lockOwner, 16)]),
      layout(GetxattrIn.self, 8, [(\.size, 0)]),
      layout(ForgetIn.self, 8, [(\.count, 0)]),
      layout(ForgetOne.self, 16, [(\.node, 0), (\.count, 8)]),
      layout(BatchForgetIn.self, 8, [(\.count, 0)]),
      layout(AccessIn.self, 8, [(\.mask, 0)]),
      layout(InterruptIn.self, 8, [(\.unique, 0)]),
      layout(LseekIn.self, 24, [(\.handle, 0), (\.offset, 8), (\.whence, 16)]),
      layout(BackingMap.self, 16, [(\.descriptor, 0), (\.flags, 4), (\.padding, 8)]),
    ]
  }

  static var answers: [Layout] {
    [
      layout(ReplyHeader.self, 16, [(\.length, 0), (\.error, 4), (\.unique, 8)]),
      layout(
        InitOut.self,
        64,
        [
          (\.major, 0), (\.minor, 4), (\.maxReadahead, 8), (\.flags, 12), (\.maxBackground, 16),
          (\.congestionThreshold, 18), (\.maxWrite, 20), (\.timeGranularity, 24),
          (\.maxPages, 28), (\.mapAlignment, 30), (\.flags2, 32), (\.maxStackDepth, 36),
          (\.requestTimeout, 40),
        ]
      ),
      layout(
        AttributesWire.self,
        88,
        [
          (\.inode, 0), (\.size, 8), (\.blocks, 16), (\.accessSeconds, 24),
          (\.modificationSeconds, 32), (\.changeSeconds, 40), (\.accessNanoseconds, 48),
          (\.modificationNanoseconds, 52), (\.changeNanoseconds, 56), (\.mode, 60), (\.links, 64),
          (\.user, 68), (\.group, 72), (\.device, 76), (\.blockSize, 80), (\.flags, 84),
        ]
      ),
      layout(
        EntryOut.self,
        128,
        [
          (\.node, 0), (\.generation, 8), (\.nameSeconds, 16), (\.attributesSeconds, 24),
          (\.nameNanoseconds, 32), (\.attributesNanoseconds, 36), (\.attributes, 40),
        ]
      ),
      layout(AttributesOut.self, 104, [(\.seconds, 0), (\.nanoseconds, 8), (\.attributes, 16)]),
      layout(OpenOut.self, 16, [(\.handle, 0), (\.options, 8), (\.backing, 12)]),
      layout(
        DirectoryRecord.self,
        24,
        [(\.inode, 0), (\.cookie, 8), (\.nameLength, 16), (\.type, 20)]
      ),
      layout(
        StatisticsOut.self,
        80,
        [
          (\.blocks, 0), (\.freeBlocks, 8), (\.availableBlocks, 16), (\.files, 24),
          (\.freeFiles, 32), (\.blockSize, 40), (\.maximumNameLength, 44), (\.fragmentSize, 48),
          (\.spare, 56),
        ]
      ),
      layout(ExtendedAttributeOut.self, 8, [(\.size, 0)]),
      layout(LseekOut.self, 8, [(\.offset, 0)]),
      layout(InvalidateInodeOut.self, 24, [(\.node, 0), (\.offset, 8), (\.length, 16)]),
      layout(InvalidateEntryOut.self, 16, [(\.parent, 0), (\.nameLength, 8), (\.flags, 12)]),
    ]
  }

  @Test("sizes and offsets", arguments: requests + answers)
  func layouts(_ layout: Layout) {
    #expect(layout.size == layout.expectedSize, "\(layout.name)")
    #expect(layout.stride == layout.expectedSize, "\(layout.name) has no hidden tail")
    #expect(layout.offsets == layout.expectedOffsets.map(Optional.some), "\(layout.name)")
  }

  @Test("the ready-made capabilities have the protocol's numbers")
  func capabilities() {
    #expect(Capabilities.core.rawValue == 0x42e4_2011)
    #expect(Capabilities.passthrough.upper == 0x20)
    #expect(Capabilities.allowIDMap.upper == 0x100)
  }
}
