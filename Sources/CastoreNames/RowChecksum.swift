internal import BLAKE3

/// A checksum of a row: SQLite keeps none, and a flipped bit in a node would name another tree.
///
/// The first eight bytes of the BLAKE3 digest of a tag for the table and of the columns, each after its
/// length. The file also holds the sum of all rows' checksums (modulo 2^64) and their count: rows that
/// vanish, or come back from an older page, are found by whoever reads them all.
enum RowChecksum {
  static func of(_ table: NamesTable, _ columns: [SQLValue]) -> Int64 {
    var bytes: [UInt8] = [table.tag]
    for column in columns {
      switch column {
      case .bytes(let column):
        append(UInt64(column.count), to: &bytes)
        bytes += column
      case .number(let number):
        append(8, to: &bytes)
        append(UInt64(bitPattern: number), to: &bytes)
      case .text(let text):
        append(UInt64(text.utf8.count), to: &bytes)
        bytes += text.utf8
      }
    }
    return BLAKE3.hash(bytes).withUnsafeBytes {
      Int64(littleEndian: $0.loadUnaligned(as: Int64.self))
    }
  }

  private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
  }
}
