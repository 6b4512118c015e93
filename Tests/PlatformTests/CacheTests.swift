import Platform
import Testing

@Suite("A cache")
struct CacheTests {
  @Test("what was unused longest goes first, by weight and not by number")
  func order() {
    let gone = Guarded<[String]>([])
    let cache = Cache<Int, String>(limit: 100) { value in gone.withLock { $0.append(value) } }
    cache.insert("a", for: 1, weight: 40)
    cache.insert("b", for: 2, weight: 40)
    #expect(cache[1] == "a")
    cache.insert("c", for: 3, weight: 20)
    #expect(cache.weight == 100 && cache.count == 3)
    cache.insert("d", for: 4, weight: 1)
    #expect(cache[2] == nil && cache[1] == "a" && cache[3] == "c" && cache[4] == "d")
    #expect(gone.withLock { $0 } == ["b"])
    // The latest stays, however heavy.
    cache.insert("e", for: 5, weight: 1000)
    #expect(cache.count == 1 && cache[5] == "e")
    cache.insert("f", for: 6, weight: 1)
    #expect(cache.count == 1 && cache[6] == "f" && cache.weight == 1)
    cache.setWeight(99, of: 6)
    cache.insert("g", for: 7, weight: 2)
    #expect(cache[6] == nil && cache[7] == "g")
    gone.withLock { $0 = [] }
    cache.insert("h", for: 7, weight: 3)
    #expect(gone.withLock { $0 } == ["g"])
    #expect(cache.exchange("i", for: 7, weight: 3) == ["h"])
    #expect(cache.take(7) == "i" && cache.take(7) == nil)
    #expect(cache.weight == 0 && cache.count == 0 && gone.withLock { $0 } == ["g"])
    cache.insert("j", for: 8, weight: 3)
    cache.removeAll()
    #expect(cache[8] == nil && cache.weight == 0 && gone.withLock { $0 } == ["g", "j"])
  }

  @Test("it does what a simple list does, whatever comes")
  func model() {
    var generator = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0 ... .max, using: &generator)
    var random = seed
    func next(_ limit: Int) -> Int {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(random >> 33) % limit
    }
    let cache = Cache<Int, Int>(limit: 50)
    var model: [(key: Int, value: Int, weight: Int)] = []
    for step in 0..<20_000 {
      let key = next(20)
      let place = model.firstIndex { $0.key == key }
      switch next(4) {
      case 0:
        let expected = place.map { model[$0].value }
        #expect(cache[key] == expected, "seed \(seed), step \(step)")
        if let place { model.append(model.remove(at: place)) }
      case 1:
        let expected = place.map { model.remove(at: $0).value }
        #expect(cache.take(key) == expected, "seed \(seed), step \(step)")
      default:
        let weight = next(20)
        cache.insert(step, for: key, weight: weight)
        if let place { model.remove(at: place) }
        model.append((key, step, weight))
        while model.reduce(0, { $0 + $1.weight }) > 50, model.count > 1 { model.removeFirst() }
      }
      #expect(cache.count == model.count && cache.weight == model.reduce(0) { $0 + $1.weight })
    }
    #expect(cache.values.sorted() == model.map(\.value).sorted())
  }

  @Test("what nobody uses goes after a while")
  func idle() async throws {
    let cache = Cache<Int, Int>(limit: 100, idleTime: .seconds(3600))
    cache.insert(1, for: 1, weight: 1)
    cache.insert(2, for: 2, weight: 1)
    #expect(cache.sweep())
    #expect(cache[1] == 1)
    #expect(cache.sweep())
    #expect(cache.values == [1])
    #expect(!cache.sweep())
    #expect(cache.count == 0)
    // By itself, and again when there is something anew.
    let quick = Cache<Int, Int>(limit: 100, idleTime: .milliseconds(5))
    for _ in 0..<3 {
      quick.insert(1, for: 1, weight: 1)
      while quick.count > 0 { try await Task.sleep(for: .milliseconds(1)) }
    }
  }

  @Test("many who want one value load it once; failures are not kept")
  func loading() async throws {
    struct Failure: Error {}
    let cache = Cache<Int, Int>(limit: 100)
    let calls = Guarded(0)
    let gate = Latch<Bool>()
    let count = try await withThrowingTaskGroup(of: Int?.self) { group in
      for _ in 0..<50 {
        group.addTask {
          try await cache.value(for: 1, weight: { _ in 1 }) {
            calls.withLock { $0 += 1 }
            _ = await gate.get()
            return 7
          }
        }
      }
      gate.set(true)
      return try await group.reduce(0) { $0 + ($1 == 7 ? 1 : 0) }
    }
    #expect(count == 50 && calls.withLock { $0 } == 1 && cache[1] == 7)
    for expected in 1...2 {
      await #expect(throws: Failure.self) {
        try await cache.value(for: 2, weight: { _ in 1 }) {
          calls.withLock { $0 += 1 }
          throw Failure()
        }
      }
      #expect(calls.withLock { $0 } == 1 + expected)
    }
    // Neither what is missing nor what is not to be kept.
    #expect(try await cache.value(for: 3, weight: { _ in 1 }) { nil } == nil)
    #expect(try await cache.value(for: 3, weight: { _ in nil }) { 3 } == 3)
    #expect(cache[3] == nil && cache.count == 1)
  }

  @Test("loading goes on while anybody waits, and is cancelled when nobody does")
  func cancelling() async throws {
    let cache = Cache<Int, Int>(limit: 100)
    let began = Latch<Bool>()
    let gate = Latch<Bool>()
    let load: @Sendable () async throws -> Int? = {
      began.set(true)
      _ = await gate.get()
      return Task.isCancelled ? nil : 1
    }
    let first = Task { try await cache.value(for: 1, weight: { _ in 1 }, orLoad: load) }
    _ = await began.get()
    let second = Task { try await cache.value(for: 1, weight: { _ in 1 }, orLoad: load) }
    // Gives up at once, though what it began goes on for whoever else waits.
    first.cancel()
    await #expect(throws: CancellationError.self) { try await first.value }
    gate.set(true)
    #expect(try await second.value == 1)

    let alone = Latch<Bool>()
    let cancelled = Latch<Bool>()
    let task = Task {
      try await cache.value(for: 2, weight: { _ in 1 }) {
        alone.set(true)
        do { try await Task.sleep(for: .seconds(3600)) } catch { cancelled.set(true) }
        return nil
      }
    }
    _ = await alone.get()
    task.cancel()
    #expect(await cancelled.get())
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}
