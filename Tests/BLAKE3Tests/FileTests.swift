import BLAKE3
import Foundation
import Platform
import Synchronization
import Testing

extension BLAKE3Tests {
  @Suite("Files")
  struct FileTests {
    private static let lengths = [
      0, 1, 1024, 1025, 4095, 4096, 4097, 262_143, 262_144, 262_145, 1_048_575, 1_048_576,
      1_048_577, 1_310_720, 3_000_017, 8 << 20,
    ]

    private func write(_ bytes: [UInt8], to path: String) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    @Test("agree with b3sum, with any number of threads")
    func againstPeer() throws {
      var numbers = Numbers(seed: 0xF11E)
      let bytes = numbers.bytes(8 << 20)
      try withTemporaryFolder { folder in
        let files = try Self.lengths.map { length in
          let path = "\(folder)/\(length)"
          try write(Array(bytes[..<length]), to: path)
          return path
        }
        let expected = try b3sum(files)
        try #require(expected.count == files.count)
        for (index, length) in Self.lengths.enumerated() {
          let file = try openFile(files[index])
          for workers in [nil, 1, 2, 5] {
            let told = Atomic<Int>(0)
            let (digest, size) = try BLAKE3.hashFile(file, workers: workers) { count in
              told.wrappingAdd(count, ordering: .relaxed)
            }
            #expect(digest.hex == expected[index], "\(length) bytes, \(workers ?? 0) workers")
            #expect(size == UInt64(length))
            #expect(told.load(ordering: .relaxed) == length)
          }
        }
      }
    }

    @Test("of many pieces agree with b3sum")
    func large() throws {
      // Unoptimized kernels are slow; elsewhere offsets are to need more than 32 bits.
      #if DEBUG
        let length = (64 << 20) + 4321
      #else
        let length = (4 << 30) + 4321
      #endif
      try withTemporaryFolder { folder in
        let path = "\(folder)/large"
        try write([1, 2, 3], to: path)
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.seek(toOffset: UInt64(length - 2))
        try handle.write(contentsOf: Data([4, 5]))
        try handle.close()
        let file = try openFile(path)
        let (digest, size) = try BLAKE3.hashFile(file, workers: 3)
        #expect(size == UInt64(length))
        #expect(digest.hex == (try b3sum([path], ["--no-mmap"]).first))
      }
    }

    @Test("are read beyond 4 GiB where they are")
    func largeOffset() throws {
      try withTemporaryFolder { folder in
        let path = "\(folder)/sparse"
        try write([], to: path)
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.seek(toOffset: (5 << 30) + 3)
        try handle.write(contentsOf: Data([9, 8, 7]))
        try handle.close()
        let file = try openFile(path)
        var bytes = [UInt8](repeating: 1, count: 100)
        let count = try bytes.withUnsafeMutableBytes {
          try BLAKE3.readFully(file.number, into: $0, at: 5 << 30)
        }
        #expect(Array(bytes[..<count]) == [0, 0, 0, 9, 8, 7])
      }
    }

    @Test(
      "that do not have the size that was said are read to their end",
      arguments: [100, 262_144, 262_145, 1_048_576, 3_000_017],
      [1 << 20, 10 << 20, 64 << 30, .max]
    )
    func wrongSize(length: Int, said: Int) throws {
      var numbers = Numbers(seed: UInt64(length))
      let bytes = numbers.bytes(length)
      try withTemporaryFolder { folder in
        try write(bytes, to: "\(folder)/file")
        let file = try openFile("\(folder)/file")
        for workers in [1, 2, 4] {
          let whole = try ParallelFile.hash(
            file.number,
            expected: said,
            workers: workers,
            mode: .hash,
            progress: nil
          )
          // Nothing: no longer than one piece, which the caller then hashes in one loop.
          guard let whole else { continue }
          #expect(whole.digest == BLAKE3.hash(bytes))
          #expect(whole.size == UInt64(length))
        }
        if length > BLAKE3.readLength && said <= 10 << 20 {
          let whole = try ParallelFile.hash(
            file.number,
            expected: said,
            workers: 2,
            mode: .hash,
            progress: nil
          )
          #expect(whole != nil)
        }
      }
    }

    @Test(
      "of the kernel, which say any size, are read to their end",
      arguments: ["/proc/version", "/sys/devices/system/cpu/online"]
    )
    func kernelFile(path: String) throws {
      let expected = [UInt8](try #require(FileManager.default.contents(atPath: path)))
      let (digest, size) = try BLAKE3.hashFile(try openFile(path))
      #expect(size == UInt64(expected.count))
      #expect(digest == BLAKE3.hash(expected))
    }

    @Test("that grow and shrink meanwhile give a digest or an error, never a trap")
    func changing() throws {
      try withTemporaryFolder { folder in
        let path = "\(folder)/changing"
        try write([UInt8](repeating: 3, count: 4 << 20), to: path)
        let isDone = Atomic<Bool>(false)
        let writer = Thread {
          var length = 4 << 20
          while !isDone.load(ordering: .relaxed) {
            length = (length &* 31 &+ 77_777) % (6 << 20)
            truncate(path, length)
          }
        }
        writer.start()
        defer {
          isDone.store(true, ordering: .relaxed)
          while !writer.isFinished { usleep(1000) }
        }
        let file = try openFile(path)
        for _ in 0..<100 {
          let (_, size) = try BLAKE3.hashFile(file, workers: 3)
          #expect(size < 6 << 20)
        }
      }
    }

    @Test("leave their own offset alone")
    func offset() throws {
      try withTemporaryFolder { folder in
        try write([UInt8](repeating: 1, count: 2 << 20), to: "\(folder)/file")
        let file = try openFile("\(folder)/file")
        #expect(lseek(file.number, 1000, SEEK_SET) == 1000)
        #expect(try BLAKE3.hashFile(file, workers: 2).size == 2 << 20)
        #expect(lseek(file.number, 0, SEEK_CUR) == 1000)
      }
    }

    @Test("that cannot be read at offsets are an error")
    func errors() throws {
      let folder = try openFile("/tmp")
      #expect(throws: Errno(EISDIR)) { try BLAKE3.hashFile(folder) }
      var ends: (CInt, CInt) = (-1, -1)
      let code = withUnsafeMutableBytes(of: &ends) {
        pipe($0.assumingMemoryBound(to: CInt.self).baseAddress!)
      }
      try #require(code == 0)
      let reader = OwnedDescriptor(adopting: ends.0)
      let writer = OwnedDescriptor(adopting: ends.1)
      #expect(throws: Errno(ESPIPE)) { try BLAKE3.hashFile(reader) }
      _ = writer
    }
  }
}
