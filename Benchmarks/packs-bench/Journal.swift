import Glibc
import Packs
import Platform

/// Appends records durably, alone and sixteen at a time, to a journal and as packs of their own, in turns.
func measureJournal(_ folder: BenchFolder) throws {
  let rounds = 5
  let appends = 100
  var next = 0
  let payload = [UInt8](repeating: 7, count: 1024)
  print("durable appends of 1 KiB, microseconds each, medians of \(rounds) rounds of \(appends)")
  for batch in [1, 16] {
    let session = try folder.session(UInt64(100 + batch))
    let journal = try JournalWriter(session)
    var results: [(String, [Double])] = [("journal", []), ("pack", [])]
    for _ in 0..<rounds {
      let byJournal = try seconds {
        for _ in 0..<appends {
          for _ in 0..<batch {
            payload.withUnsafeBytes { journal.add(benchKey(next), .blob, $0) }
            next += 1
          }
          _ = try journal.commit()
        }
      }
      let byPack = try seconds {
        let writer = PackWriter(session)
        for _ in 0..<appends {
          for _ in 0..<batch {
            try payload.withUnsafeBytes { (bytes) throws in
              try writer.put(benchKey(next), kind: .blob, bytes)
            }
            next += 1
          }
          _ = try writer.finish()
        }
      }
      results[0].1.append(byJournal)
      results[1].1.append(byPack)
    }
    for (name, times) in results {
      let median = times.sorted()[rounds / 2] / Double(appends)
      print("\(name), \(batch) records in a batch: \(short(median * 1e6))")
    }
  }
}
