import Platform
import Testing

@testable import FUSE

@Suite("INIT")
struct NegotiationTests {
  static let kernelFlags: UInt64 = 0x5fd_73ff_fffb

  func request(
    major: UInt32 = 7,
    minor: UInt32 = 45,
    flags: UInt64 = kernelFlags
  ) -> InitIn {
    var request = InitIn()
    request.major = major
    request.minor = minor
    request.maxReadahead = 131072
    request.flags = UInt32(truncatingIfNeeded: flags)
    request.flags2 = UInt32(flags >> 32)
    return request
  }

  func agree(
    _ request: InitIn,
    _ configuration: SessionConfiguration = SessionConfiguration()
  ) throws -> (InitOut, Agreement) {
    let outcome = InitNegotiation.answer(request, configuration: configuration) { _ in }
    guard case .agree(let out, let agreement) = outcome else {
      Issue.record("no agreement: \(outcome)")
      throw CancellationError()
    }
    return (out, agreement)
  }

  @Test("agrees with a current kernel on the core")
  func current() throws {
    let (out, agreement) = try agree(request())
    #expect(out.major == 7)
    #expect(out.minor == 45)
    #expect(out.flags == 0x42e4_2011)
    #expect(out.flags2 == 0)
    #expect(out.maxReadahead == 131072)
    #expect(out.maxWrite == 4096)
    #expect(out.maxPages == 256)
    #expect(out.maxBackground == 4096)
    #expect(out.congestionThreshold == 3072)
    #expect(out.timeGranularity == 1)
    #expect(out.maxStackDepth == 0)
    #expect(agreement == Agreement(minor: 45, capabilities: .core))
  }

  @Test("speaks the older minor version of the two", arguments: [31, 36, 44, 45, 46, 99])
  func minor(_ minor: UInt32) throws {
    #expect(try agree(request(minor: minor)).0.minor == min(minor, 45))
  }

  @Test("takes nothing that is not offered, and no upper half without its flag")
  func offered() throws {
    var configuration = SessionConfiguration()
    configuration.capabilities = Capabilities.core.union(.passthrough)
    let few = Capabilities.asyncRead.union(.passthrough).rawValue
    let (out, agreement) = try agree(request(flags: few), configuration)
    #expect(out.flags == 1)
    #expect(out.flags2 == 0)
    #expect(out.maxPages == 0)
    #expect(agreement.capabilities == .asyncRead)
  }

  @Test("passthrough needs a depth of 1 or 2", arguments: [0, 1, 2, 3, .max] as [UInt32])
  func passthrough(_ depth: UInt32) throws {
    var configuration = SessionConfiguration()
    configuration.capabilities = Capabilities.core.union(.passthrough)
    configuration.maxStackDepth = depth
    let (out, _) = try agree(request(), configuration)
    let isPossible = depth == 1 || depth == 2
    #expect(out.flags2 == (isPossible ? 0x20 : 0))
    #expect(out.maxStackDepth == (isPossible ? depth : 0))
  }

  @Test("an old client is refused, a later major version is told ours")
  func others() {
    let old = InitNegotiation.answer(
      request(minor: 30),
      configuration: SessionConfiguration()
    ) { _ in }
    guard case .refuse(let refusal) = old else { return #expect(Bool(false), "\(old)") }
    #expect(refusal == InitRefusal(major: 7, minor: 30, oldestMinor: 31))
    let ancient = InitNegotiation.answer(
      request(major: 6, minor: 99),
      configuration: SessionConfiguration()
    ) { _ in }
    guard case .refuse = ancient else { return #expect(Bool(false), "\(ancient)") }
    let future = InitNegotiation.answer(
      request(major: 8, minor: 0),
      configuration: SessionConfiguration()
    ) { _ in }
    guard case .proposeMajor(let out) = future else { return #expect(Bool(false), "\(future)") }
    #expect(out.major == 7)
    #expect(out.flags == 0)
  }

  @Test("how one thread ends is not how the mount ended, unless it is the last")
  func ends() {
    let trouble = MountEnd.failed(Errno(12))
    #expect(trouble.superseding(nil) == trouble)
    for end in [MountEnd.unmounted, .aborted] {
      #expect(end.superseding(trouble) == end)
      #expect(trouble.superseding(end) == end)
    }
    #expect(MountEnd.failed(Errno(5)).superseding(trouble) == .failed(Errno(5)))
  }

  @Test("nothing is served before INIT, and a second INIT begins anew")
  func order() {
    let fileSystem = TinyFileSystem([("f", .bytes([1]))])
    let session = Session(fileSystem: fileSystem)
    let channel = FakeChannel()
    let worker = session.makeWorker(channel: channel)
    worker.handle(Message(.statfs, unique: 2))
    worker.handle(.initialize())
    worker.handle(Message(.statfs, unique: 4))
    worker.handle(.initialize())
    worker.handle(Message(.destroy, unique: 6))
    worker.handle(Message(.statfs, unique: 8))
    #expect(channel.sent.map(\.error) == [-5, 0, 0, 0, 0, -5])
    #expect(channel.sent.map(\.body.count) == [0, 64, 80, 64, 0, 0])
    #expect(fileSystem.initializations.withLock { $0 } == 2)
    #expect(fileSystem.destructions.withLock { $0 } == 2)
    #expect(session.agreement == nil)
  }

  @Test("a resumed session needs no INIT")
  func resumed() {
    let agreement = Agreement(minor: 45, capabilities: .core)
    let session = Session(fileSystem: TinyFileSystem([]), resuming: agreement)
    let channel = FakeChannel()
    session.makeWorker(channel: channel).handle(Message(.statfs, unique: 2))
    #expect(channel.sent.map(\.error) == [0])
    #expect(session.agreement == agreement)
  }
}
