import NixCompat

/// A NAR taken apart: its events, each with the contents that follow it.
struct NARStep: Equatable {
  let event: NAREvent
  let contents: [UInt8]
}

enum NARSamples {
  static let symlink = [step(.symlink(target: bytes("/nix/store/somewhereelse")))]

  static let helloWorld = [file("Hello World!")]

  static let complicated = [
    step(.directoryStart),
    entry(".keep"), file(""),
    entry("aa"), step(.symlink(target: bytes("/nix/store/somewhereelse"))),
    entry("keep"), step(.directoryStart), entry(".keep"), file(""), step(.directoryEnd),
    step(.directoryEnd),
  ]

  /// Every production of the grammar and every padding.
  static let diverse =
    [step(.directoryStart)]
    + (0...9).flatMap { [entry("f\($0)"), file(String(repeating: "x", count: $0))] }
    + [
      entry("g"), file("#!", isExecutable: true),
      entry("h"), step(.directoryStart), step(.directoryEnd),
      entry("i"), step(.directoryStart), entry("a"), step(.directoryStart), entry("b"),
      step(.symlink(target: bytes("12345678"))), step(.directoryEnd), step(.directoryEnd),
      step(.directoryEnd),
    ]

  static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  static func entry(_ name: String) -> NARStep { step(.entry(name: bytes(name))) }

  static func file(_ contents: String, isExecutable: Bool = false) -> NARStep {
    let contents = bytes(contents)
    let event = NAREvent.file(size: UInt64(contents.count), isExecutable: isExecutable)
    return NARStep(event: event, contents: contents)
  }

  static func step(_ event: NAREvent) -> NARStep { NARStep(event: event, contents: []) }

  /// Writes steps as a NAR.
  static func encode(_ steps: [NARStep]) throws -> [UInt8] {
    var writer = NARWriter(ByteArraySink())
    for step in steps {
      try writer.write(step.event)
      if !step.contents.isEmpty { try writer.writeContents(step.contents) }
    }
    return try writer.finish().bytes
  }

  /// Reads a NAR through a source that gives at most `pieceLength` bytes at a time.
  static func decode(
    _ bytes: [UInt8],
    pieceLength: Int = .max,
    bufferSize: Int = 65_536
  ) throws(NARError) -> [NARStep] {
    let source = ByteArraySource(bytes, maximumReadLength: pieceLength)
    var reader = NARReader(source, bufferSize: bufferSize)
    var steps: [NARStep] = []
    while let event = try reader.next() {
      let contents = try reader.readContents(upTo: .max)
      steps.append(NARStep(event: event, contents: contents))
    }
    return steps
  }

  /// The strings, each with its length and padding: a NAR made by hand.
  static func words(_ words: String...) -> [UInt8] {
    words.flatMap { string(bytes($0)) }
  }

  static func string(_ text: [UInt8]) -> [UInt8] {
    let padding = [UInt8](repeating: 0, count: (8 - text.count % 8) % 8)
    return number(UInt64(text.count)) + text + padding
  }

  static func number(_ value: UInt64) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
