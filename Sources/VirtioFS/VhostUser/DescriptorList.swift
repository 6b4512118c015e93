internal import Glibc
internal import Platform

/// Descriptors that came with a message; closes those that nobody took.
struct DescriptorList: ~Copyable {
  // Owned: each number is in here until it is taken, and nowhere else.
  private var numbers: [CInt]

  init(adopting numbers: [CInt] = []) {
    self.numbers = numbers
  }

  deinit {
    for number in numbers { close(number) }
  }

  var count: Int { numbers.count }

  mutating func adopt(_ more: ArraySlice<CInt>) {
    numbers.append(contentsOf: more)
  }

  /// Takes the first that is left.
  mutating func take() -> OwnedDescriptor? {
    numbers.isEmpty ? nil : OwnedDescriptor(adopting: numbers.removeFirst())
  }
}
