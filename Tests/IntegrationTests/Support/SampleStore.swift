import Glibc
import Testing

/// A store with a bit of everything in it.
enum SampleStore {
  /// The same folder at two places, a script, a large file.
  static func make(entries: Int = 2000) throws -> (castore: Castore, tree: String) {
    let castore = Castore(try Scratch())
    let tree = castore.scratch.path + "/tree"
    try NastyTree.folder(tree)
    for place in ["a", "b"] {
      try NastyTree.folder(tree / place)
      try NastyTree.folder(tree / place / "same")
      try NastyTree.write("kept", to: tree / place / "same" / "keep")
      try NastyTree.write("only in \(place)", to: tree / place / place)
    }
    try NastyTree.write("#!/bin/sh\necho ran\n", to: tree / "script", mode: 0o755)
    try NastyTree.write("#!/bin/sh\necho ran\n", to: tree / "text")
    try NastyTree.write(NastyTree.noise(30_000_001, seed: 3), to: tree / "large")
    try NastyTree.write("", to: tree / "empty")
    try NastyTree.link(tree / "link", to: "script")
    try NastyTree.folder(tree / "many")
    for number in 0..<entries { try NastyTree.write("\(number)", to: tree / "many" / "f\(number)") }
    try castore.succeed("import", tree)
    return (castore, tree)
  }
}

/// `lstat(2)`.
func status(_ path: any Word) throws -> stat {
  var status = stat()
  try path.bytes.withCPath { _ = try check(lstat($0, &status), "lstat") }
  return status
}
