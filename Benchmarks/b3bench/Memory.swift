import BLAKE3
import Glibc

extension Bench {
  // More than the second-level cache: inputs come from where a store's inputs would.
  private static let memoryLength = 16 << 20

  /// One core's speed at each instruction level; a compiler that makes worse code shows here.
  static func printLevels(rounds: Int) {
    let input = pseudorandom(128 << 10)
    let levels = BLAKE3.Level.supported
    var samples = [[Double]](repeating: [], count: levels.count)
    for _ in 0..<rounds {
      for (index, level) in levels.enumerated() {
        BLAKE3.Level.force(level)
        samples[index].append(nanosecondsPerHash(of: input, length: input.count, bytes: 32 << 20))
      }
    }
    BLAKE3.Level.force(nil)
    print("128 KiB in cache, one core, by instruction level")
    for (level, samples) in zip(levels, samples) {
      print("  \(padded("\(level)", 8)) \(decimal(Double(input.count) / median(samples), 2)) GB/s")
    }
  }

  /// One core's speed for whole inputs of the sizes that small files have.
  static func printSmallInputs(rounds: Int) {
    let input = pseudorandom(memoryLength)
    let lengths = [1, 4, 16, 64].map { $0 << 10 }
    var samples = [[Double]](repeating: [], count: lengths.count)
    for _ in 0..<rounds {
      for (index, length) in lengths.enumerated() {
        samples[index].append(nanosecondsPerHash(of: input, length: length, bytes: memoryLength))
      }
    }
    print("whole inputs, one core, walking through 16 MiB")
    for (length, samples) in zip(lengths, samples) {
      let time = median(samples)
      let speed = decimal(Double(length) / time, 2)
      print("  \(padded("\(length >> 10) KiB", 8)) \(speed) GB/s, \(decimal(time, 0)) ns each")
    }
  }

  /// Time of this thread alone, so that other load matters little.
  private static func nanosecondsPerHash(of input: [UInt8], length: Int, bytes: Int) -> Double {
    let count = bytes / length
    return input.withUnsafeBytes { input in
      let places = input.count / length
      var used: UInt64 = 0
      let start = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
      for index in 0..<count {
        let place = index % places * length
        let digest = BLAKE3.hash(UnsafeRawBufferPointer(rebasing: input[place..<place + length]))
        used ^= UInt64(truncatingIfNeeded: digest.hashValue)
      }
      let end = nanoseconds(CLOCK_THREAD_CPUTIME_ID)
      // Depends on every digest, so none can be left out.
      if used == 0x5EED { print("") }
      return (end - start) / Double(count)
    }
  }

  static func pseudorandom(_ count: Int) -> [UInt8] {
    var hasher = BLAKE3.Hasher()
    hasher.update([1])
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { hasher.finalize(into: $0) }
    return bytes
  }

  static func nanoseconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  static func median(_ samples: [Double]) -> Double {
    let sorted = samples.sorted()
    return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
  }

  /// A number with so many decimals.
  static func decimal(_ value: Double, _ places: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = pow(10, Double(places))
    let scaled = Int((value * scale).rounded())
    guard places > 0 else { return "\(scaled)" }
    let fraction = "\(scaled % Int(scale))"
    return "\(scaled / Int(scale))."
      + String(repeating: "0", count: places - fraction.count) + fraction
  }

  static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
