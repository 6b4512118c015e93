/// Values that can be had again, kept for as long as they weigh no more than a limit together.
///
/// A value weighs what it costs to keep: bytes, or descriptors. When there is no room, those go that were
/// unused longest; the latest stays whatever it weighs, or it could never be used. What nobody has used for a
/// while goes, too, so that a process that has nothing to do gives its memory back. Several that ask for one
/// value at once wait for one answer. Safe from any thread; values are let go of without a lock held.
///
/// - Complexity: O(1) for each operation but `removeAll` and `values`.
public final class Cache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline
  struct Flight: Sendable {
    var number: UInt64
    var task: Task<Void, Never>
    var promise: Promise<Value?>
    var waiters: Int
  }

  @usableFromInline
  struct State: Sendable {
    @usableFromInline var values: WeighedValues<Key, Value>
    var flights: [Key: Flight] = [:]
    var flightCount: UInt64 = 0
    var sweeping: Task<Void, Never>?
  }

  @usableFromInline let state: Guarded<State>
  private let idleTime: Duration
  private let onEvict: (@Sendable (Value) -> Void)?

  /// Makes an empty one.
  ///
  /// - Parameters:
  ///   - limit: What all values may weigh together.
  ///   - idleTime: After how long at least a value goes that nobody uses; after twice that it is gone.
  ///   - onEvict: Told about values that are let go of, on any thread: but not about those that were taken
  ///     or are still there when the cache itself goes.
  public init(
    limit: Int,
    idleTime: Duration = .seconds(30),
    onEvict: (@Sendable (Value) -> Void)? = nil
  ) {
    state = Guarded(State(values: WeighedValues(limit: limit)))
    self.idleTime = idleTime
    self.onEvict = onEvict
  }

  deinit {
    state.withLock { $0.sweeping }?.cancel()
  }

  /// How many values there are.
  public var count: Int { state.withLock { $0.values.count } }

  /// What they weigh together.
  public var weight: Int { state.withLock { $0.values.weight } }

  /// All values, in no order; none is thereby used.
  public var values: [Value] { state.withLock { $0.values.all } }

  /// The value of a key, which is thereby used.
  @inlinable
  public subscript(key: Key) -> Value? {
    state.withLock { $0.values.use(key) }
  }

  /// Keeps a value in place of the one that the key has.
  public func insert(_ value: Value, for key: Key, weight: Int) {
    evict(exchange(value, for: key, weight: weight))
  }

  /// Keeps a value in place of the one that the key has, and hands out what has to go for it: for whoever
  /// holds a lock, and deals with that afterwards.
  public func exchange(_ value: Value, for key: Key, weight: Int) -> [Value] {
    state.withLock { state in
      startSweeping(&state)
      return state.values.insert(value, for: key, weight: weight)
    }
  }

  /// Corrects what a value weighs; does nothing for a key that has none.
  public func setWeight(_ weight: Int, of key: Key) {
    evict(state.withLock { $0.values.setWeight(weight, of: key) })
  }

  /// Takes a value out.
  @discardableResult
  public func take(_ key: Key) -> Value? {
    state.withLock { $0.values.take(key) }
  }

  /// Lets go of all values.
  public func removeAll() {
    evict(state.withLock { $0.values.removeAll() })
  }

  /// The value of a key; where there is none, what `body` comes up with.
  ///
  /// `body` goes on while anybody waits for it; who is cancelled gives up alone. A failure is not
  /// remembered, nor is `nil`.
  ///
  /// - Parameter weight: What the value weighs; `nil` does not keep it.
  public func value(
    for key: Key,
    weight: @escaping @Sendable (Value) -> Int?,
    orLoad body: @escaping @Sendable () async throws -> Value?
  ) async throws -> Value? {
    let (known, flight) = state.withLock { state -> (Value?, Flight?) in
      if let value = state.values.use(key) { return (value, nil) }
      if var flight = state.flights[key] {
        flight.waiters += 1
        state.flights[key] = flight
        return (nil, flight)
      }
      state.flightCount += 1
      let number = state.flightCount
      let promise = Promise<Value?>()
      // Not a child of any waiting task: each of them may be cancelled alone.
      let task = Task.detached { [self] in
        do {
          let value = try await body()
          land(key, number, value, value.flatMap(weight))
          promise.resolve(.success(value))
        } catch {
          land(key, number, nil, nil)
          promise.resolve(.failure(error))
        }
      }
      let flight = Flight(number: number, task: task, promise: promise, waiters: 1)
      state.flights[key] = flight
      return (nil, flight)
    }
    guard let flight else { return known }
    return try await withTaskCancellationHandler {
      try await flight.promise.value()
    } onCancel: {
      leave(key, flight.number)
    }
  }

  /// Lets go of what was not used since the last call but one. Called now and then by itself.
  ///
  /// - Returns: Whether anything is left.
  @discardableResult
  public func sweep() -> Bool {
    let (gone, isEmpty) = state.withLock { state in
      let gone = state.values.sweep()
      if state.values.count == 0 { state.sweeping = nil }
      return (gone, state.values.count == 0)
    }
    evict(gone)
    return !isEmpty
  }

  private func land(_ key: Key, _ number: UInt64, _ value: Value?, _ weight: Int?) {
    let gone = state.withLock { state -> [Value] in
      // Another one may be under way for a key that everybody had given up.
      if state.flights[key]?.number == number { state.flights[key] = nil }
      guard let value, let weight else { return [] }
      startSweeping(&state)
      return state.values.insert(value, for: key, weight: weight)
    }
    evict(gone)
  }

  private func leave(_ key: Key, _ number: UInt64) {
    let abandoned = state.withLock { state -> Task<Void, Never>? in
      guard var flight = state.flights[key], flight.number == number else { return nil }
      flight.waiters -= 1
      state.flights[key] = flight.waiters == 0 ? nil : flight
      return flight.waiters == 0 ? flight.task : nil
    }
    abandoned?.cancel()
  }

  // A task that sleeps costs no thread. It lasts as long as there are values, and does not keep the cache.
  private func startSweeping(_ state: inout State) {
    guard state.sweeping == nil else { return }
    state.sweeping = Task.detached(priority: .utility) { [weak self, idleTime] in
      repeat {
        do { try await Task.sleep(for: idleTime) } catch { return }
      } while self?.sweep() ?? false
    }
  }

  private func evict(_ values: [Value]) {
    guard let onEvict else { return }
    for value in values { onEvict(value) }
  }
}

/// The values of a `Cache` in order of use: what it does under its lock.
///
/// Mutating functions return what has to go, so that it is let go of without the lock.
@usableFromInline
struct WeighedValues<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline
  struct Entry: Sendable {
    var key: Key
    @usableFromInline var value: Value
    var weight: Int
  }

  /// An entry's place in the order of use: apart from it, so that using one moves numbers only.
  @usableFromInline
  struct Link: BitwiseCopyable, Sendable {
    // Neighbours; -1 at the ends.
    @usableFromInline var older = -1
    @usableFromInline var newer = -1
    /// The sweep after which it was used.
    @usableFromInline var lastUse: UInt64 = 0

    init() {}
  }

  private let limit: Int
  @usableFromInline var places: [Key: Int] = [:]
  @usableFromInline var entries: [Entry?] = []
  @usableFromInline var links: [Link] = []
  private var free: [Int] = []
  @usableFromInline var oldest = -1
  @usableFromInline var newest = -1
  @usableFromInline var sweeps: UInt64 = 0
  private(set) var weight = 0

  init(limit: Int) {
    self.limit = limit
  }

  var count: Int { places.count }

  var all: [Value] { entries.compactMap { $0?.value } }

  @inlinable
  mutating func use(_ key: Key) -> Value? {
    guard let place = places[key] else { return nil }
    if place != newest {
      unlink(place)
      link(place)
    }
    links[place].lastUse = sweeps
    return entries[place]?.value
  }

  mutating func insert(_ value: Value, for key: Key, weight: Int) -> [Value] {
    let replaced = take(key)
    let entry = Entry(key: key, value: value, weight: max(0, weight))
    self.weight += entry.weight
    let place = free.popLast() ?? entries.count
    if place == entries.count {
      entries.append(entry)
      links.append(Link())
    } else {
      entries[place] = entry
    }
    places[key] = place
    link(place)
    links[place].lastUse = sweeps
    let gone = shrink()
    return replaced.map { [$0] + gone } ?? gone
  }

  mutating func setWeight(_ weight: Int, of key: Key) -> [Value] {
    guard let place = places[key], let old = entries[place]?.weight else { return [] }
    entries[place]?.weight = max(0, weight)
    self.weight += max(0, weight) - old
    return shrink()
  }

  mutating func take(_ key: Key) -> Value? {
    places[key].flatMap { remove($0) }
  }

  mutating func removeAll() -> [Value] {
    let all = all
    self = WeighedValues(limit: limit, sweeps: sweeps)
    return all
  }

  /// Ends a period, and removes what was used neither in it nor in the one before.
  mutating func sweep() -> [Value] {
    var gone: [Value] = []
    while oldest >= 0, links[oldest].lastUse < sweeps, let value = remove(oldest) {
      gone.append(value)
    }
    sweeps += 1
    if places.isEmpty { self = WeighedValues(limit: limit, sweeps: sweeps) }
    return gone
  }

  private init(limit: Int, sweeps: UInt64) {
    self.limit = limit
    self.sweeps = sweeps
  }

  private mutating func shrink() -> [Value] {
    guard weight > limit else { return [] }
    var gone: [Value] = []
    while weight > limit, oldest != newest, let value = remove(oldest) { gone.append(value) }
    return gone
  }

  private mutating func remove(_ place: Int) -> Value? {
    guard let entry = entries[place] else { return nil }
    unlink(place)
    entries[place] = nil
    places[entry.key] = nil
    free.append(place)
    weight -= entry.weight
    return entry.value
  }

  @inlinable
  mutating func link(_ place: Int) {
    links[place].older = newest
    links[place].newer = -1
    if newest >= 0 { links[newest].newer = place } else { oldest = place }
    newest = place
  }

  @inlinable
  mutating func unlink(_ place: Int) {
    let link = links[place]
    if link.older >= 0 { links[link.older].newer = link.newer } else { oldest = link.newer }
    if link.newer >= 0 { links[link.newer].older = link.older } else { newest = link.older }
  }
}
