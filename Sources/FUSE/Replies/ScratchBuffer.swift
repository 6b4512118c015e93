internal import Glibc

/// Page-aligned memory that grows on demand and is reused.
struct ScratchBuffer: ~Copyable {
  private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  /// No request needs more: the kernel's own limit for one is far below.
  static let limit = 64 << 20

  init() {}

  deinit {
    if let base = memory.baseAddress { munmap(base, memory.count) }
  }

  /// The first `count` bytes; an empty buffer if there is no such memory.
  mutating func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if count > memory.count { grow(to: count) }
    guard count >= 0, count <= memory.count else {
      return UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }
    return UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: count)
  }

  private mutating func grow(to count: Int) {
    guard count <= Self.limit else { return }
    let rounded = (count + 0xFFFF) & ~0xFFFF
    let fresh = mmap(nil, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let fresh, fresh != MAP_FAILED else { return }
    if let base = memory.baseAddress { munmap(base, memory.count) }
    memory = UnsafeMutableRawBufferPointer(start: fresh, count: rounded)
  }
}
