/// The end of a file that is being written: a buffer that is filled, handed over when it is full, and the file,
/// which is made when the first one is.
struct FileTail {
  private let session: PackSession
  private let queue: WriteQueue
  private let name: String
  private let options: NewFile.Options
  /// Where in the file the first byte goes, once the file is made.
  private let start: Int
  private let capacity: Int

  private(set) var file: NewFile?
  private var buffer: AlignedBuffer?
  /// How much was handed over.
  private(set) var flushed = 0
  /// How much of the buffer is filled.
  private(set) var filled = 0

  /// - Parameter start: A multiple of the page.
  init(
    _ session: PackSession,
    _ queue: WriteQueue,
    name: String,
    startingAt start: Int,
    _ options: NewFile.Options
  ) {
    self.session = session
    self.queue = queue
    self.name = name
    self.start = start
    self.options = options
    capacity = session.options.bufferSize
  }

  /// How many bytes were written.
  var count: Int { flushed + filled }

  /// Room for bytes after a multiple of a length, in one piece; they count once `advance` says so.
  mutating func reserve(
    _ length: Int,
    alignment: Int = 1
  ) throws(PackError) -> UnsafeMutableRawBufferPointer {
    precondition(length <= capacity - PackLayout.page, "a reservation fits into a buffer")
    var place = filled.rounded(up: alignment)
    if place + length > capacity {
      try flush()
      place = filled.rounded(up: alignment)
    }
    let bytes = try openBuffer().bytes
    bytes.clear(filled..<place)
    filled = place
    return UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + length])
  }

  /// Counts bytes that were put where `reserve` said.
  mutating func advance(_ length: Int) {
    precondition(filled + length <= capacity, "no more than was reserved")
    filled += length
  }

  /// Copies bytes, through as many buffers as they take.
  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(PackError) {
    var done = 0
    while done < bytes.count {
      if filled >= capacity { try flush() }
      let buffer = try openBuffer()
      let count = min(capacity - filled, bytes.count - done)
      UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[filled..<filled + count])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + count]))
      filled += count
      done += count
    }
  }

  /// Fills up with zeros to a multiple of a length.
  mutating func pad(to alignment: Int) {
    let end = filled.rounded(up: alignment)
    buffer?.bytes.clear(filled..<end)
    filled = end
  }

  /// Gives up the buffer, with what was not handed over.
  mutating func takeBuffer() throws(PackError) -> AlignedBuffer {
    let taken = try openBuffer()
    buffer = nil
    return taken
  }

  private mutating func openBuffer() throws(PackError) -> AlignedBuffer {
    if let buffer { return buffer }
    let fresh = try queue.takeBuffer()
    buffer = fresh
    return fresh
  }

  /// Hands the buffer over to be written; what is left of its last page moves to the next one.
  private mutating func flush() throws(PackError) {
    guard let full = buffer else { return }
    let file = if let file { file } else { try NewFile(session, name: name, options) }
    self.file = file
    let count = filled.rounded(down: PackLayout.page)
    let next = try queue.takeBuffer()
    let rest = count..<filled
    UnsafeMutableRawBufferPointer(rebasing: next.bytes[..<rest.count])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: full.bytes[rest]))
    try queue.write(file, full, count: count, at: start + flushed)
    flushed += count
    buffer = next
    filled = rest.count
  }
}
