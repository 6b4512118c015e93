/// What a guest wrote into a ring that makes no sense. The ring stops, and with it the device.
enum RingFault: Error, Equatable, CustomStringConvertible {
  case tooManyAvailable(UInt16)
  case headOutOfRange(UInt16)
  case headInUse(UInt16)
  case nextOutOfRange(UInt16)
  case chainTooLong
  case chainTooLarge
  case readableAfterWritable
  case outsideMemory(UInt64, UInt32)
  case indirectNotNegotiated
  case indirectMisused
  case indirectLength(UInt32)
  case memoryMissing
  case kickBroken
  case noThread

  var description: String {
    switch self {
    case .tooManyAvailable(let count): "\(count) requests available, more than the ring holds"
    case .headOutOfRange(let head): "request at descriptor \(head), which the ring does not have"
    case .headInUse(let head): "request at descriptor \(head), which is still in use"
    case .nextOutOfRange(let next): "chain goes on at descriptor \(next), which there is not"
    case .chainTooLong: "chain of more descriptors than the ring or table holds"
    case .chainTooLarge: "chain of more than 4 GiB"
    case .readableAfterWritable: "descriptor to read behind one to write"
    case .outsideMemory(let address, let count):
      "\(count) bytes at guest address \(address) are not in its memory"
    case .indirectNotNegotiated: "indirect descriptor without the feature"
    case .indirectMisused: "indirect descriptor in an indirect table, or with a next one"
    case .indirectLength(let count): "indirect table of \(count) bytes"
    case .memoryMissing: "the host has no memory left for what the guest's addresses name"
    case .kickBroken: "the descriptor for kicks is none"
    case .noThread: "no thread to serve the ring"
    }
  }
}
