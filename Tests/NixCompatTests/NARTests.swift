import NixCompat
import Testing

@Suite("NAR")
struct NARTests {
  struct Sample: Sendable {
    let steps: [NARStep]
    let size: Int
    let sha256: String
  }

  @Test(
    "the published samples are written byte for byte and read back",
    arguments: [
      Sample(
        steps: NARSamples.symlink,
        size: 136,
        sha256: "097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1"
      ),
      Sample(
        steps: NARSamples.helloWorld,
        size: 128,
        sha256: "03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040"
      ),
      Sample(
        steps: NARSamples.complicated,
        size: 840,
        sha256: "ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a"
      ),
    ]
  )
  func samples(sample: Sample) throws {
    let nar = try NARSamples.encode(sample.steps)
    #expect(nar.count == sample.size)
    #expect(SHA256Hasher.hash(nar).hexadecimal == sample.sha256)
    #expect(try NARSamples.decode(nar) == sample.steps)
  }

  @Test("pieces of any size give the same events", arguments: [1, 2, 3, 7, 8, 9, 100])
  func pieces(length: Int) throws {
    let nar = try NARSamples.encode(NARSamples.diverse)
    #expect(try NARSamples.decode(nar, pieceLength: length) == NARSamples.diverse)
    #expect(try NARSamples.decode(nar, bufferSize: length) == NARSamples.diverse)
  }

  @Test("contents that nobody reads are skipped")
  func skipping() throws {
    for pieceLength in [1, 5, Int.max] {
      let nar = try NARSamples.encode(NARSamples.diverse)
      var reader = NARReader(ByteArraySource(nar, maximumReadLength: pieceLength))
      var events: [NAREvent] = []
      while let event = try reader.next() {
        events.append(event)
        if events.count.isMultiple(of: 3) { _ = try reader.readContents(upTo: 2) }
      }
      #expect(events == NARSamples.diverse.map(\.event))
      #expect(reader.offset == UInt64(nar.count))
      #expect(try reader.next() == nil)
    }
  }

  @Test("large contents pass through buffers of the caller's choice", arguments: [1000, 200_000])
  func largeContents(bufferSize: Int) throws {
    var random = SeededRandom(seed: 2)
    let contents = (0..<300_001).map { _ in UInt8.random(in: 0...255, using: &random) }
    let event = NAREvent.file(size: UInt64(contents.count), isExecutable: true)
    let nar = try NARSamples.encode([NARStep(event: event, contents: contents)])
    var reader = NARReader(ByteArraySource(nar, maximumReadLength: 70_000))
    #expect(try reader.next() == event)
    var read: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: bufferSize)
    while true {
      // Throwing closures of the standard library lose the error's type, hence the pointer.
      let count = try buffer.withUnsafeMutableBytes { try reader.readContents(into: $0) }
      if count == 0 { break }
      read += buffer[..<count]
    }
    #expect(read == contents)
    #expect(try reader.next() == nil)
  }

  @Test("the place of the contents is known")
  func contentsOffset() throws {
    let nar = try NARSamples.encode(NARSamples.diverse)
    var reader = NARReader(ByteArraySource(nar))
    while let event = try reader.next() {
      guard case .file(let size, _) = event else { continue }
      let start = Int(reader.offset)
      let contents = try reader.readContents(upTo: .max)
      #expect(contents == Array(nar[start..<(start + Int(size))]))
    }
  }

  @Test("nesting costs no stack, and has a limit")
  func nesting() throws {
    let depth = NARLimits.defaultMaximumDepth
    let name = NAREvent.entry(name: [UInt8(ascii: "d")])
    var writer = NARWriter(ByteArraySink())
    for _ in 1..<depth {
      try writer.write(.directoryStart)
      try writer.write(name)
    }
    try writer.write(.directoryStart)
    for _ in 0..<depth { try writer.write(.directoryEnd) }
    let nar = try writer.finish().bytes
    var reader = NARReader(ByteArraySource(nar))
    var count = 0
    while try reader.next() != nil { count += 1 }
    #expect(count == depth * 3 - 1)

    var strict = NARReader(ByteArraySource(nar), maximumDepth: 10)
    let error = #expect(throws: NARError.self) { while try strict.next() != nil {} }
    #expect(error?.code == .tooDeep(limit: 10))

    var strictWriter = NARWriter(ByteArraySink(), maximumDepth: 1)
    try strictWriter.write(.directoryStart)
    try strictWriter.write(name)
    let writeError = #expect(throws: NARError.self) { try strictWriter.write(.directoryStart) }
    #expect(writeError?.code == .tooDeep(limit: 1))
  }

  @Test("the writer refuses what no reader would take")
  func writerRefusals() throws {
    func code(_ events: NAREvent...) throws -> NARError.Code? {
      var writer = NARWriter(ByteArraySink())
      for event in events.dropLast() { try writer.write(event) }
      return #expect(throws: NARError.self) { try writer.write(events[events.count - 1]) }?.code
    }
    let name = NARSamples.bytes
    let b = NAREvent.entry(name: name("b"))
    let link = NAREvent.symlink(target: name("t"))
    for bad in ["", ".", "..", "a/b", "a\0b", String(repeating: "n", count: 256)] {
      #expect(try code(.directoryStart, .entry(name: name(bad))) == .invalidName(name(bad)))
    }
    for bad in ["", "a\0b", String(repeating: "n", count: 4096)] {
      #expect(try code(.symlink(target: name(bad))) == .invalidTarget(name(bad)))
    }
    for bad in ["b", "a", "B"] {
      #expect(
        try code(.directoryStart, b, link, .entry(name: name(bad)))
          == .namesOutOfOrder(previous: name("b"), name: name(bad))
      )
    }
    #expect(try code(b) == .eventOutOfPlace("an entry"))
    #expect(try code(.directoryEnd) == .eventOutOfPlace("the end of a directory"))
    #expect(try code(link, link) == .eventOutOfPlace("a symlink"))
    #expect(try code(.directoryStart, link) == .eventOutOfPlace("a symlink"))
    #expect(try code(.directoryStart, b, b) == .eventOutOfPlace("an entry"))
    #expect(try code(.directoryStart, .directoryEnd, b) == .eventOutOfPlace("an entry"))
    #expect(
      try code(.file(size: 1, isExecutable: false), link) == .contentsTooShort(missing: 1)
    )
    let unfinished = #expect(throws: NARError.self) {
      var writer = NARWriter(ByteArraySink())
      try writer.write(.directoryStart)
      _ = try writer.finish()
    }
    #expect(unfinished?.code == .unexpectedEnd)
  }

  @Test("the writer holds files to their stated size")
  func writerSizes() throws {
    func write(size: UInt64, contents: String) throws {
      var writer = NARWriter(ByteArraySink())
      var source = ByteArraySource(NARSamples.bytes(contents), maximumReadLength: 3)
      try writer.writeFile(size: size, isExecutable: false, from: &source)
      _ = try writer.finish()
    }
    try write(size: 5, contents: "12345")
    try write(size: 0, contents: "")
    let short = #expect(throws: NARError.self) { try write(size: 6, contents: "12345") }
    #expect(short?.code == .contentsTooShort(missing: 1))
    let long = #expect(throws: NARError.self) { try write(size: 4, contents: "12345") }
    #expect(long?.code == .contentsTooLong)
    let none = #expect(throws: NARError.self) { try write(size: 0, contents: "1") }
    #expect(none?.code == .contentsTooLong)
  }

  @Test("errors of the source and the sink come through")
  func streamErrors() throws {
    struct Broken: Error {}
    struct BrokenSink: ByteSink {
      func write(_ bytes: UnsafeRawBufferPointer) throws { throw Broken() }
    }
    var reader = NARReader(ClosureByteSource { _ in throw Broken() })
    let readError = #expect(throws: NARError.self) { _ = try reader.next() }
    #expect(readError?.code == .sourceFailed)
    #expect(readError?.cause is Broken)
    let writeError = #expect(throws: NARError.self) {
      var writer = NARWriter(BrokenSink())
      try writer.write(.symlink(target: [1]))
      _ = try writer.finish()
    }
    #expect(writeError?.code == .sinkFailed)
    #expect(writeError?.cause is Broken)
  }

  @Test("a NAR inside of another stream leaves the rest alone")
  func embedded() throws {
    let nar = try NARSamples.encode(NARSamples.complicated)
    let stream = nar + [1, 2, 3]
    var parser = NARParser()
    var position = 0
    var events: [NAREvent] = []
    while !parser.isComplete {
      if let event = try parser.next(in: stream.span.bytes, from: &position) {
        events.append(event)
      }
      if events.count == NARSamples.complicated.count, !parser.isComplete { break }
    }
    #expect(events == NARSamples.complicated.map(\.event))
    #expect(position == nar.count)
    try parser.finish()
  }
}
