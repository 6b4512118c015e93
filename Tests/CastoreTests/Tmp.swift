import Castore
import CastoreTestSupport
import Testing
@Test func findSize() {
  let want = B3Digest(hex: "9ab0e05253167373594f33e63ea3ca46119d8dc9b1336b111aba20903ad7a8d5")
  for size in 0..<5000 {
    for exec in [false, true] {
    let d = Directory(fixture: [
        "index.html": .file(
          digest: B3Digest(hex: "293c5a67b2722328177aedb6ad541c8dd7d02e45317a0e1a17147ef535694283"),
          size: UInt64(size),
          isExecutable: exec
        ),
        "dot": .symlink(target: "."),
        "symlink": .symlink(target: "index.html"),
        "dot_symlink": .symlink(target: "./index.html"),
        "dotdot_symlink": .symlink(target: "../index.htm"),
        "dotdot_same_symlink": .symlink(target: "../nested/index.html"),
      ])
    if d.digest == want { print("FOUND", size, exec) }
    }
  }
}
