/// Uninitialised memory with one owner.
struct HeapBytes: ~Copyable {
  /// The memory, valid while this value lives.
  let bytes: UnsafeMutableRawBufferPointer

  init(count: Int) {
    bytes = .allocate(byteCount: count, alignment: 64)
  }

  deinit {
    bytes.deallocate()
  }
}
