import Foundation
import NixCompat
import Testing

@Suite("temporary all narinfos") struct ZZTemporary {
  @Test("all") func all() throws {
    let text = try String(contentsOfFile: "/tmp/narinfos-all.txt", encoding: .utf8)
    let keys = try NARInfoTests.keys.map { try NixPublicKey(parsing: $0) }
    var count = 0, signed = 0, flags: [String: Int] = [:]
    for part in text.components(separatedBy: "\n\n") where !part.isEmpty {
      let record = part.hasSuffix("\n") ? part : part + "\n"
      let info = try NARInfo(parsing: record)
      #expect(info.description == record)
      count += 1
      if info.isSigned(byOneOf: keys) { signed += 1 } else { print("unsigned", info.storePath) }
      flags["\(info.flags.rawValue)", default: 0] += 1
    }
    print("ZZ", count, signed, flags)
  }
}
