import Glibc
import Packs
import Platform

/// A key as a digest would be: spread evenly, and the same for the same number.
func benchKey(_ number: Int) -> PackKey {
  func mix(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
    return word ^ word >> 31
  }
  let seed = UInt64(number) &* 0x9E37_79B9_7F4A_7C15
  return PackKey(words: (mix(seed), mix(seed &+ 1), mix(seed &+ 2), mix(seed &+ 3)))
}

/// Builds an index over packs of empty records and looks keys up in it.
func measureIndex(of count: Int, _ folder: BenchFolder) throws {
  let session = try folder.session(1)
  let packing = try seconds {
    let writer = PackWriter(session)
    for number in 0..<count {
      try writer.put(benchKey(number), kind: .blob, UnsafeRawBufferPointer(start: nil, count: 0))
      if writer.packedRecords == 1 { _ = writer.takeSealed() }
    }
    _ = try writer.finish()
  }
  let names = folder.names("packs")
  print("\(count) empty records in \(names.count) packs: \(short(packing)) s; \(residentMemory())")
  let building = try seconds {
    var merge = TableMerge()
    for name in names { try merge.add(PackReader(folder.bytes("packs/" + name))) }
    try merge.write(session, id: 1, in: folder.open("index"), as: "1.table", isDurable: true)
  }
  let bytes = try folder.bytes("index/1.table")
  print(
    "index built and synced: \(short(building)) s; \(bytes.length >> 20) MiB; \(residentMemory())"
  )
  var table: TableReader?
  let opening = try seconds { table = try TableReader(bytes) }
  guard let table else { return }
  print("opened: \(short(opening * 1000)) ms, \(table.memory >> 10) KiB of memory")

  let lookups = 1_000_000
  for _ in 0..<2 {
    for (what, first) in [("hits", 0), ("misses", count)] {
      for threads in [1, 2] {
        let cpuBefore = processorSeconds()
        let time = try seconds {
          let crew = ThreadCrew()
          for thread in 0..<threads {
            try crew.start(name: "lookups") {
              var number = thread &* 7_919
              var wrong = 0
              for _ in 0..<lookups {
                number = (number &+ 6_700_417) % count
                let found = try? table.find(benchKey(first + number), .blobs)
                if (found != nil) != (first == 0) { wrong += 1 }
              }
              if wrong > 0 { print("\(wrong) wrong answers") }
            }
          }
          crew.joinAll()
        }
        let cpu = processorSeconds() - cpuBefore
        let total = Double(lookups * threads)
        print(
          "\(what), \(threads) threads: \(Int(total / time)) lookups/s,"
            + " \(Int(total / cpu)) for each second of a core's time"
        )
      }
    }
  }
  // Not from the page cache: each lookup reads one page.
  let cold = 20_000
  bytes.withDescriptor { _ = posix_fadvise($0, 0, 0, POSIX_FADV_RANDOM) }
  bytes.withDescriptor { _ = posix_fadvise($0, 0, 0, POSIX_FADV_DONTNEED) }
  let before = blocksRead()
  let time = try seconds {
    for number in 0..<cold { _ = try table.find(benchKey(number &* 7919 % count), .blobs) }
  }
  let pages = Double(blocksRead() - before) / 8 / Double(cold)
  print("not cached: \(Int(Double(cold) / time)) lookups/s, \(short(pages)) pages read for each")
}

/// How many blocks of 512 bytes this process has had read from disks.
private func blocksRead() -> Int { usage().ru_inblock }

/// The processor time that this process has used, on a machine that others may use too.
private func processorSeconds() -> Double {
  let usage = usage()
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
    + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

private func usage() -> rusage {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage
}
