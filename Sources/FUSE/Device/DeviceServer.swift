internal import Glibc
public import Platform
internal import Synchronization

/// Why a mount ended.
public enum MountEnd: Hashable, Sendable {
  /// Unmounted, or aborted by `umount -f`.
  case unmounted
  /// Aborted through the control file system.
  case aborted
  /// Reading requests failed.
  case failed(Errno)
}

/// The threads that read requests from the device.
///
/// All read the same descriptor and block in it. Each handles its request to the end, so
/// that at any time as many requests as threads are in hand; what takes longer than a local disk is
/// detached by the file system, which keeps readers free for FORGET, INTERRUPT and the rest.
final class DeviceServer: Sendable {
  let session: Session
  let connection: KernelConnection
  /// Set when INIT was answered (true) or the connection ended before (false).
  let ready = Latch<Bool>()
  let ended = Latch<MountEnd>()
  private let running: Atomic<Int>
  private let firstEnd = Guarded<MountEnd?>(nil)

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
          serve(channel)
          leave()
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

  private func serve(_ channel: DeviceChannel) {
    var buffer = ScratchBuffer()
    let memory = buffer.reserve(Self.bufferSize)
    guard !memory.isEmpty else { return note(.failed(Errno(ENOMEM))) }
    let worker = session.makeWorker(channel: channel)
    let descriptor = connection.unguarded
    var isReady = false
    while true {
      let count = read(descriptor, memory.baseAddress, memory.count)
      guard count > 0 else {
        switch count == 0 ? ENODEV : errno {
        // ENOENT: the request was interrupted before it could be read.
        case EINTR, EAGAIN, ENOENT: continue
        case ENODEV: return note(.unmounted)
        case ECONNABORTED: return note(.aborted)
        case let code: return note(.failed(Errno(code)))
        }
      }
      worker.handle(UnsafeRawBufferPointer(rebasing: memory[..<count]))
      if !isReady && session.isInitialized {
        isReady = true
        ready.set(true)
      }
    }
  }

  private func note(_ end: MountEnd) {
    firstEnd.withLock { if $0 == nil { $0 = end } }
  }

  private func leave() {
    // The last one out closes: no thread reads the descriptor any more.
    if running.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { conclude() }
  }

  private func conclude() {
    session.finish()
    connection.shutDown()
    ready.set(false)
    ended.set(firstEnd.withLock { $0 } ?? .unmounted)
  }
}
