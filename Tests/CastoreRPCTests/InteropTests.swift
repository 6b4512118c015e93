import Castore
import CastoreRPC
import Foundation
import NixStore
import Testing

extension NetworkTests {
  @Suite("A client that nobody here wrote")
  struct InteropTests {
    @Test("every call, every status, malformed requests, under both package names")
    func python() async throws {
      let (blobs, directories) = (MemoryBlobService(), MemoryDirectoryService())
      let services = ServedServices(
        blobs: blobs,
        directories: directories,
        pathInfos: MemoryPathInfoService(),
        calculator: RenderingNARCalculator(blobs: blobs, directories: directories)
      )
      try await Loopback.serving(services) { loopback in
        let script = URL(filePath: #filePath)
          .deletingLastPathComponent().deletingLastPathComponent()
          .appending(path: "interop/run.sh")
        let process = Process()
        process.executableURL = script
        process.arguments = loopback.server.addresses.map {
          $0.hasPrefix("unix:") ? String($0.dropFirst(5)) : $0
        }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        // Waits on a thread of its own: the server needs the ones that tasks run on.
        let text = try await withCheckedThrowingContinuation { continuation in
          Thread.detachNewThread {
            do {
              try process.run()
              let data = output.fileHandleForReading.readDataToEndOfFile()
              process.waitUntilExit()
              continuation.resume(returning: String(decoding: data, as: UTF8.self))
            } catch {
              continuation.resume(throwing: error)
            }
          }
        }
        #expect(process.terminationStatus == 0, "\(text)")
        #expect(text.contains("checks passed"), "\(text)")
      }
    }
  }
}
