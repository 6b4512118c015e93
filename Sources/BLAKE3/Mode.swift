internal import CBLAKE3

extension BLAKE3 {
  /// What BLAKE3 is used for; outputs of different modes are unrelated.
  ///
  /// All modes are equally fast.
  public struct Mode: Sendable {
    // What a tree's first compressions start from, and what marks all of them.
    let key: Digest
    let flags: UInt32

    /// Plain hashing.
    public static let hash = Mode(key: initial, flags: 0)

    /// Authentication under a secret key, or nothing if the key has not exactly 32 bytes.
    public static func keyed(_ key: UnsafeRawBufferPointer) -> Mode? {
      Digest(key).map { Mode(key: $0, flags: CBLAKE3_KEYED_HASH) }
    }

    /// Authentication under a secret key, or nothing if the key has not exactly 32 bytes.
    public static func keyed(_ key: [UInt8]) -> Mode? {
      Digest(key).map { Mode(key: $0, flags: CBLAKE3_KEYED_HASH) }
    }

    /// Derivation of keys from key material, which is then what is hashed.
    ///
    /// - Parameter context: Names the application and purpose; hardcoded, unique and never secret.
    /// - Complexity: O(length of `context`); keep the mode rather than make it again.
    public static func deriveKey(context: String) -> Mode {
      let asContext = Mode(key: initial, flags: CBLAKE3_DERIVE_KEY_CONTEXT)
      var context = context
      let key = context.withUTF8 { BLAKE3.hash(UnsafeRawBufferPointer($0), mode: asContext) }
      return Mode(key: key, flags: CBLAKE3_DERIVE_KEY_MATERIAL)
    }

    // BLAKE3 paper, table 1: the eight words of SHA-256, here two to a word of the digest.
    private static var initial: Digest {
      Digest(
        words: (
          0xBB67_AE85_6A09_E667, 0xA54F_F53A_3C6E_F372, 0x9B05_688C_510E_527F,
          0x5BE0_CD19_1F83_D9AB
        )
      )
    }
  }
}
