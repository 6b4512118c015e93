import Glibc

/// Trees that make trouble.
enum NastyTree {
  static func write(_ bytes: [UInt8], to path: any Word, mode: mode_t = 0o644) throws {
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
    let file = try path.bytes.withCPath { try check(open($0, flags, mode), "create") }
    defer { close(file) }
    var place = 0
    while place < bytes.count {
      place += try bytes[place...].withUnsafeBytes {
        try check(Glibc.write(file, $0.baseAddress, $0.count), "write")
      }
    }
    try check(fchmod(file, mode), "fchmod")
  }

  static func write(_ text: String, to path: any Word, mode: mode_t = 0o644) throws {
    try write(text.bytes, to: path, mode: mode)
  }

  static func folder(_ path: any Word, mode: mode_t = 0o755) throws {
    try path.bytes.withCPath { try check(mkdir($0, mode), "mkdir") }
  }

  static func link(_ path: any Word, to target: any Word) throws {
    try path.bytes.withCPath { path in
      try target.bytes.withCPath { try check(symlink($0, path), "symlink") }
    }
  }

  static func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      let words = UnsafeMutableRawBufferPointer(buffer)
      for place in stride(from: 0, to: count - count % 8, by: 8) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        words.storeBytes(of: state ^ (state >> 29), toByteOffset: place, as: UInt64.self)
      }
      for place in (count - count % 8)..<count { buffer[place] = UInt8(truncatingIfNeeded: place) }
      filled = count
    }
  }

  /// Names, links, modes, contents, depth and places: everything but sheer size.
  static func make(at root: String) throws {
    try folder(root)
    try makeNames(root / "names")
    try makeLinks(root / "links")
    try makeModes(root / "modes")
    try makeSizes(root / "sizes")
    try folder(root / "empty folder")
    var path = root / "deep"
    try folder(path)
    for level in 1...600 {
      path = path / "d\(level % 7)"
      try folder(path)
    }
    try write("at the bottom", to: path / "f")
    for place in ["here", "there"] {
      try folder(root / place)
      try folder(root / place / "same")
      try write("kept", to: root / place / "same" / "keep")
      try folder(root / place / "same" / "inner")
      try write("inner", to: root / place / "same" / "inner" / "file")
    }
    try write("only there", to: root / "there" / "more")
  }

  private static func makeNames(_ root: [UInt8]) throws {
    try folder(root)
    let long = [UInt8](repeating: UInt8(ascii: "n"), count: 255)
    let names: [[UInt8]] = [
      long, [UInt8](repeating: 0xFF, count: 255), "new\nline".bytes, "\n".bytes, [0xFF],
      [0x80, 0xFE],
      "caf\u{e9}".bytes, [0x63, 0x61, 0x66, 0xE9], "-rf".bytes, "--".bytes, " ".bytes,
      "  lead".bytes,
      "trail ".bytes, "...".bytes, ".hidden".bytes, "back\\slash".bytes, "quote\"'`$(x)".bytes,
      "*".bytes,
      "a:b".bytes, "tab\t".bytes, [1], [0x7F], [0x1B, 0x5B, 0x33, 0x31, 0x6D], "\u{10FFFF}".bytes,
      "\u{202E}evil".bytes, "e\u{301}".bytes, "\u{e9}".bytes, "A".bytes, "a".bytes, "a.b".bytes,
      "a-b".bytes, "a0".bytes,
    ]
    for (index, name) in names.enumerated() {
      try write("content \(index)", to: root / name, mode: index % 2 == 0 ? 0o644 : 0o755)
    }
    for (index, name) in names.enumerated() where name.count <= 250 {
      try folder(root / (name + ".dir".bytes))
      try link(root / (name + ".dir".bytes) / name, to: name)
      try write("below \(index)", to: root / (name + ".dir".bytes) / "x")
    }
  }

  private static func makeLinks(_ root: [UInt8]) throws {
    try folder(root)
    try link(root / "4095", to: [UInt8](repeating: UInt8(ascii: "x"), count: 4095))
    try link(root / "1", to: "x")
    try link(root / "dangling", to: "no/such/file")
    try link(root / "absolute", to: "/etc/passwd")
    try link(root / "self", to: "self")
    try link(root / "dot", to: ".")
    try link(root / "up", to: "../../../../../../../..")
    try link(root / "slashes", to: "//a///b//")
    try link(root / "raw", to: [0xFF, 0x0A, 0x80])
    try link(root / "to a folder", to: "../here/same")
  }

  private static func makeModes(_ root: [UInt8]) throws {
    try folder(root)
    let body = "#!/bin/sh\necho ran\n"
    let modes: [mode_t] = [
      0o644, 0o755, 0o444, 0o555, 0o400, 0o500, 0o100, 0o600, 0o700, 0o000, 0o011, 0o677, 0o777,
      0o4755, 0o2755, 0o6711, 0o1755, 0o4644,
    ]
    for mode in modes { try write(body, to: root / "mode-\(String(mode, radix: 8))", mode: mode) }
    try write("linked", to: root / "hard 1")
    try (root / "hard 1").withCPath { old in
      try (root / "hard 2").withCPath { try check(Glibc.link(old, $0), "link") }
    }
    for mode: mode_t in [0o555, 0o1777, 0o2775, 0o000] {
      let path = root / "folder-\(String(mode, radix: 8))"
      try folder(path)
      try write("inside", to: path / "file")
      try path.withCPath { try check(chmod($0, mode), "chmod") }
    }
  }

  private static func makeSizes(_ root: [UInt8]) throws {
    try folder(root)
    // Around pages, the limit of what lies in the index, requests, chunks and batches.
    let sizes = [
      0, 1, 2, 1023, 1024, 1025, 4095, 4096, 4097, 16_383, 16_384, 16_385, 32_768, 65_535, 65_536,
      65_537, 131_071, 131_072, 131_073, 1_048_575, 1_048_576, 1_048_577, 8_388_607, 8_388_608,
      8_388_609, 20_000_003,
    ]
    for size in sizes { try write(noise(size, seed: UInt64(size)), to: root / "\(size)") }
    // Zeros in long runs, at the front, in the middle and at the end.
    let zeros = [UInt8](repeating: 0, count: 300_000)
    try write(zeros, to: root / "zeros")
    try write(zeros + [1], to: root / "zeros, then one")
    try write([1] + zeros, to: root / "one, then zeros")
    let big = [UInt8](repeating: 0, count: 9_000_000)
    try write(big + noise(70_000, seed: 7) + big, to: root / "zeros around")
  }

  /// A file of more than 4 GiB that takes little room.
  static func makeHugeFile(at path: any Word) throws {
    let file = try path.bytes.withCPath {
      try check(open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644), "create")
    }
    defer { close(file) }
    try check(ftruncate(file, (4 << 30) + 70_000), "ftruncate")
    for place in [0, 1 << 31, (1 << 32) - 2, (1 << 32) + 69_998] {
      try check(pwrite(file, "<>", 2, off_t(place)), "pwrite")
    }
  }

  /// A folder of many entries.
  static func makeCrowd(at path: any Word, count: Int) throws {
    try folder(path)
    let parent = try path.bytes.withCPath { try check(open($0, O_RDONLY | O_DIRECTORY), "open") }
    defer { close(parent) }
    for number in 0..<count {
      let file = try check(
        openat(parent, "entry \(number)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644),
        "create"
      )
      if number % 1000 == 0 { _ = Glibc.write(file, "\(number)", String(number).utf8.count) }
      close(file)
    }
  }
}
