internal import Glibc
internal import Platform

extension Mount {
  /// What happens while `serve` serves.
  public enum ServingEvent: Sendable {
    /// The file system can be used.
    case mounted(Mount)
    /// A signal came that ends processes: unmounting begins.
    case stopping(signal: CInt)
    /// It is in use: out of sight, and served until its last user leaves or another signal comes.
    case detached
    /// It could not be unmounted, and is served on; another signal ends the process.
    case unmountFailed(MountError)
  }

  /// Mounts a file system, and serves it until it is unmounted: by somebody, or because a signal came that
  /// would end the process and leave a dead mount behind.
  ///
  /// Blocks the thread. That is what a program with a mount and nothing else does. Signals are watched from
  /// before the mount until its end: all that end a process by default, but for faults and SIGKILL, unless the
  /// process ignores them (`nohup`) or has handlers of its own. A second signal ends the process, whatever
  /// has become of the mount. For one mount of a process at a time.
  ///
  /// - Parameter onEvent: Called on threads of the library's own; must not block.
  /// - Returns: Why it ended. The program then ends as it likes.
  public static func serve(
    _ fileSystem: any FileSystem,
    at path: String,
    options: MountOptions = MountOptions(),
    configuration: SessionConfiguration = SessionConfiguration(),
    onEvent: @escaping @Sendable (ServingEvent) -> Void = { _ in }
  ) throws(MountError) -> MountEnd {
    let stop = Stop(onEvent: onEvent)
    let signals = endingSignals.filter { signal in
      switch SignalWatcher.disposition(of: signal) {
      case .byDefault: true
      case .ignored: false
      // Swift's runtime handles it where it prints backtraces.
      case .handled: signal == SIGQUIT
      }
    }
    do throws(Errno) {
      try SignalWatcher.watch(signals) { stop.handle($0) }
    } catch {
      throw .threads(error)
    }
    defer { SignalWatcher.restore(signals) }
    let mount = try Mount(fileSystem, at: path, options: options, configuration: configuration)
    onEvent(.mounted(mount))
    stop.begin(mount)
    return mount.waitForEnd()
  }

  /// What ends a process by default, and is no fault of its own: those that people, terminals, service managers and
  /// timers send.
  private static let endingSignals =
    [
      SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU,
      SIGPOLL, SIGPWR,
    ] + Array(34...64)

  /// Ends a mount when a signal comes, and the process with the second.
  private final class Stop: Sendable {
    private struct State {
      var mount: Mount?
      var signals = 0
    }

    private let onEvent: @Sendable (ServingEvent) -> Void
    private let state = Guarded(State())
    private let attempt = Latch<Void>()
    /// How long a second signal waits for the unmounting that is under way.
    private static let patience = 2000

    init(onEvent: @escaping @Sendable (ServingEvent) -> Void) {
      self.onEvent = onEvent
    }

    func begin(_ mount: Mount) {
      let isStopped = state.withLock { state in
        state.mount = mount
        return state.signals > 0
      }
      if isStopped { unmount(mount) }
    }

    func handle(_ signal: CInt) {
      let (isFirst, mount) = state.withLock { state in
        state.signals += 1
        return (state.signals == 1, state.mount)
      }
      guard isFirst else {
        // Two in a row are no reason to leave a dead mount behind.
        _ = attempt.wait(milliseconds: Self.patience)
        return SignalWatcher.endProcess(by: signal)
      }
      onEvent(.stopping(signal: signal))
      guard let mount else { return }
      // On a thread of its own: unmounting may take its time, and this one has to see the next signal.
      do throws(Errno) {
        _ = try NativeThread(name: "unmount") { [self] in unmount(mount) }
      } catch {
        unmount(mount)
      }
    }

    private func unmount(_ mount: Mount) {
      do throws(MountError) {
        if try mount.unmount() == .detached { onEvent(.detached) }
      } catch {
        onEvent(.unmountFailed(error))
      }
      attempt.set(())
    }
  }
}
