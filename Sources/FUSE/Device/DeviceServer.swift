internal import Glibc
public import Platform
internal import Synchronization

/// Why a mount ended.
public enum MountEnd: Hashable, Sendable {
  /// Unmounted, or aborted by `umount -f`.
  case unmounted
  /// Aborted through the control file system.
  case aborted
  /// Reading requests failed, for every thread.
  case failed(Errno)

  /// What to make of this end and what an earlier thread met: the trouble of one thread is not the mount's
  /// as long as others serve.
  func superseding(_ earlier: MountEnd?) -> MountEnd {
    switch earlier {
    case nil, .failed: self
    case .unmounted, .aborted: earlier ?? self
    }
  }
}

/// The threads that read requests from the device.
///
/// All read the same descriptor and block in it. Each handles its request to the end, so
/// that at any time as many requests as threads are in hand; what takes longer than a local disk is
/// detached by the file system, which keeps readers free for FORGET, INTERRUPT and the rest.
final class DeviceServer: Sendable {
  let session: Session
  let connection: KernelConnection
  /// Set when INIT was accepted (true), or when it was refused or the connection ended before (false).
  let ready = Latch<Bool>()
  let ended = Latch<MountEnd>()
  private let running: Atomic<Int>
  private let outcome = Guarded<MountEnd?>(nil)

  /// The kernel's minimum is 8192. More lets it batch more FORGETs into one message.
  private static let bufferSize = 64 << 10

  init(session: Session, connection: KernelConnection, threads: Int) {
    self.session = session
    self.connection = connection
    running = Atomic(threads)
  }

  /// Starts the threads. If not all can be started the server goes on with those that could.
  ///
  /// - Throws: If there is not even one.
  func start(threads: Int, onFault: (@Sendable (String) -> Void)?) throws(Errno) {
    let channel = DeviceChannel(connection, onFault: onFault)
    for index in 0..<threads {
      do throws(Errno) {
        _ = try NativeThread(name: "fuse-\(index)") { [self] in
          let end = serve(channel)
          if case .failed(let error) = end { onFault?("a thread serves no longer: \(error)") }
          leave(end)
        }
      } catch {
        let missing = threads - index
        onFault?("only \(index) of \(threads) threads: \(error)")
        let left = running.subtract(missing, ordering: .acquiringAndReleasing).newValue
        if index == 0 { throw error }
        // The others may have ended meanwhile.
        if left == 0 { conclude() }
        return
      }
    }
  }

  /// Serves until there is nothing more to read, and says why.
  private func serve(_ channel: DeviceChannel) -> MountEnd {
    var buffer = ScratchBuffer()
    let memory = buffer.reserve(Self.bufferSize)
    guard !memory.isEmpty else { return .failed(Errno(ENOMEM)) }
    let worker = session.makeWorker(channel: channel)
    let descriptor = connection.unguarded
    var isReady = false
    while true {
      let count = read(descriptor, memory.baseAddress, memory.count)
      guard count > 0 else {
        switch count == 0 ? ENODEV : errno {
        // ENOENT: the request was interrupted before it could be read.
        case EINTR, EAGAIN, ENOENT: continue
        case ENODEV: return .unmounted
        case ECONNABORTED: return .aborted
        case let code: return .failed(Errno(code))
        }
      }
      worker.handle(UnsafeRawBufferPointer(rebasing: memory[..<count]))
      if !isReady {
        isReady = session.isInitialized
        // A refused client stays connected, and would wait for us for ever.
        if isReady || session.refusal != nil { ready.set(isReady) }
      }
    }
  }

  private func leave(_ end: MountEnd) {
    outcome.withLock { $0 = end.superseding($0) }
    // The last one out closes: no thread reads the descriptor any more.
    if running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { conclude() }
  }

  private func conclude() {
    session.finish()
    connection.shutDown()
    ready.set(false)
    ended.set(outcome.withLock { $0 } ?? .unmounted)
  }
}
