/// What a digest names. Bytes can be both, so the empty file and the empty directory have one digest.
enum ObjectKind: UInt8, Sendable {
  case blob = 1
  case directory = 2
}
