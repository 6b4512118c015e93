import NixCompat
import Testing

@Suite("malformed NARs")
struct NARMalformedTests {
  typealias Code = NARError.Code

  @Test("every truncation is an error at its end")
  func truncations() throws {
    let nar = try NARSamples.encode(NARSamples.diverse)
    for count in 0..<nar.count {
      for pieceLength in [Int.max, 5] {
        let error = #expect(throws: NARError.self) {
          try NARSamples.decode(Array(nar[..<count]), pieceLength: pieceLength)
        }
        #expect(error?.code == .unexpectedEnd)
        #expect(error?.offset == UInt64(count))
      }
    }
  }

  @Test("any byte after the end is an error")
  func trailingData() throws {
    for steps in [NARSamples.symlink, NARSamples.helloWorld, NARSamples.complicated] {
      let nar = try NARSamples.encode(steps)
      for pieceLength in [1, nar.count, Int.max] {
        let error = #expect(throws: NARError.self) {
          try NARSamples.decode(nar + [0], pieceLength: pieceLength)
        }
        #expect(error?.code == .trailingData)
        #expect(error?.offset == UInt64(nar.count))
      }
    }
  }

  @Test("ten thousand random mutations give an error, or a NAR that is written just so again")
  func mutations() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    let nars = try [NARSamples.complicated, NARSamples.diverse, NARSamples.helloWorld].map {
      try NARSamples.encode($0)
    }
    var validCount = 0
    for round in 0..<10_000 {
      var nar = nars[round % nars.count]
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        let position = Int.random(in: 0..<nar.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: nar[position] = UInt8.random(in: 0...255, using: &random)
        case 1: nar[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: nar.insert(UInt8.random(in: 0...255, using: &random), at: position)
        case 3 where nar.count > 1: nar.remove(at: position)
        case 4:
          // Moves a word: alignment stays, order goes.
          let from = position / 8 * 8
          let word = Array(nar[from..<min(from + 8, nar.count)])
          nar.insert(contentsOf: word, at: Int.random(in: 0...(nar.count / 8), using: &random) * 8)
        default: nar.removeSubrange((position + 1)...)
        }
      }
      let whole = outcome(nar, pieceLength: .max)
      if case .success(let steps) = whole {
        validCount += 1
        #expect(try NARSamples.encode(steps) == nar, "seed \(seed), round \(round)")
      }
      if round.isMultiple(of: 20) {
        let pieces = outcome(nar, pieceLength: 1)
        #expect(description(pieces) == description(whole), "seed \(seed), round \(round)")
      }
    }
    // Mutated contents of files stay valid: the loop has met both outcomes.
    #expect(0 < validCount && validCount < 10_000, "seed \(seed)")
  }

  @Test("a failed reader stays failed")
  func poisoned() throws {
    var reader = NARReader(ByteArraySource(NARSamples.words("nix-archive-1", "(", "typo") + [0]))
    for _ in 0..<3 {
      let error = #expect(throws: NARError.self) { _ = try reader.next() }
      #expect(error?.code == .unexpectedWord(expected: "\"type\"", found: Array("typo".utf8)))
      #expect(error?.offset == 40)
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let nar: [UInt8]
    let code: Code
    let offset: UInt64
  }

  @Test("every rule of the format is enforced", arguments: cases)
  func rules(malformed: Case) {
    let error = #expect(throws: NARError.self) { try NARSamples.decode(malformed.nar) }
    #expect(error?.code == malformed.code)
    #expect(error?.offset == malformed.offset)
  }

  static let cases: [Case] = {
    let node = NARSamples.words("nix-archive-1", "(", "type")
    let directory = node + NARSamples.words("directory")
    func entry(_ name: [UInt8]) -> [UInt8] {
      NARSamples.words("entry", "(", "name") + NARSamples.string(name)
        + NARSamples.words("node", "(", "type", "symlink", "target", "t", ")", ")")
    }
    func word(_ title: String, _ before: [UInt8], _ word: String, expected: String) -> Case {
      Case(
        testDescription: title,
        nar: before + NARSamples.words(word),
        code: .unexpectedWord(expected: expected, found: NARSamples.bytes(word)),
        offset: UInt64(before.count)
      )
    }
    func name(_ title: String, _ name: [UInt8]) -> Case {
      Case(
        testDescription: title,
        nar: directory + entry(name),
        code: .invalidName(name),
        offset: UInt64(directory.count + 48)
      )
    }
    func length(_ title: String, _ before: [UInt8], _ length: UInt64, _ expected: String) -> Case {
      Case(
        testDescription: title,
        nar: before + NARSamples.number(length),
        code: .stringTooLong(expected: expected, length: length),
        offset: UInt64(before.count)
      )
    }
    func order(_ title: String, _ first: String, _ second: String) -> Case {
      let before = directory + entry(NARSamples.bytes(first))
      return Case(
        testDescription: title,
        nar: before + entry(NARSamples.bytes(second)),
        code: .namesOutOfOrder(
          previous: NARSamples.bytes(first),
          name: NARSamples.bytes(second)
        ),
        offset: UInt64(before.count + 48)
      )
    }
    let regular = node + NARSamples.words("regular")
    let target = node + NARSamples.words("symlink", "target")
    let contents = regular + NARSamples.words("contents")
    let nameKey = directory + NARSamples.words("entry", "(", "name")
    return [
      word("another archive version", [], "nix-archive-2", expected: "\"nix-archive-1\""),
      word(
        "an unknown type",
        node,
        "socket",
        expected: "\"regular\" or \"symlink\" or \"directory\""
      ),
      word("a file without contents", regular, ")", expected: "\"contents\" or \"executable\""),
      word(
        "a value for executable",
        regular + NARSamples.words("executable"),
        "1",
        expected: "\"\""
      ),
      word(
        "executable twice",
        regular + NARSamples.words("executable", ""),
        "executable",
        expected: "\"contents\""
      ),
      word("a file that goes on", contents + NARSamples.number(0), "x", expected: "\")\""),
      word("a stray word in a directory", directory, "name", expected: "\"entry\" or \")\""),
      word(
        "a name before the entry is open",
        directory + NARSamples.words("entry"),
        "name",
        expected: "\"(\""
      ),
      word(
        "an entry without a node",
        nameKey + NARSamples.words("a"),
        ")",
        expected: "\"node\""
      ),
      name("an empty name", []),
      name("the name .", NARSamples.bytes(".")),
      name("the name ..", NARSamples.bytes("..")),
      name("a name with a slash", NARSamples.bytes("a/b")),
      name("a name with a zero byte", [97, 0]),
      order("the same name twice", "a", "a"),
      order("names out of order", "b", "a"),
      order("a prefix after the longer name", "ab", "a"),
      order("names out of order past ASCII", "ä", "z"),
      length("a long name", nameKey, 256, "a name of at most 255 bytes"),
      length("an endless name", nameKey, .max, "a name of at most 255 bytes"),
      length("a long target", target, 4096, "a symlink target of at most 4095 bytes"),
      length("a long word", node, 14, "\"regular\" or \"symlink\" or \"directory\""),
      length("an endless word", [], .max, "\"nix-archive-1\""),
      Case(
        testDescription: "an empty target",
        nar: target + NARSamples.words(""),
        code: .invalidTarget([]),
        offset: UInt64(target.count)
      ),
      Case(
        testDescription: "a target with a zero byte",
        nar: target + NARSamples.words("a\0b"),
        code: .invalidTarget([97, 0, 98]),
        offset: UInt64(target.count)
      ),
      Case(
        testDescription: "padding of a name that is not zero",
        nar: nameKey + NARSamples.number(1) + [97, 0, 0, 0, 0, 0, 1, 0],
        code: .nonzeroPadding,
        offset: UInt64(nameKey.count + 14)
      ),
      Case(
        testDescription: "padding of a word that is not zero",
        nar: NARSamples.number(13) + NARSamples.bytes("nix-archive-1") + [0, 0, 1],
        code: .nonzeroPadding,
        offset: 23
      ),
      Case(
        testDescription: "padding of contents that is not zero",
        nar: contents + NARSamples.number(3) + [1, 2, 3, 0, 4, 0, 0, 0],
        code: .nonzeroPadding,
        offset: UInt64(contents.count + 12)
      ),
      Case(
        testDescription: "a size that nothing stands behind",
        nar: contents + NARSamples.number(.max) + [1, 2, 3],
        code: .unexpectedEnd,
        offset: UInt64(contents.count + 11)
      ),
    ]
  }()

  private func outcome(_ nar: [UInt8], pieceLength: Int) -> Result<[NARStep], NARError> {
    do {
      return .success(try NARSamples.decode(nar, pieceLength: pieceLength))
    } catch {
      return .failure(error)
    }
  }

  private func description(_ outcome: Result<[NARStep], NARError>) -> String {
    switch outcome {
    case .success(let steps): "\(steps)"
    case .failure(let error): "\(error)"
    }
  }
}
