public import Castore

/// Where a store is: `scheme:path`, or `scheme://host:port/path?key=value`.
public struct ServiceURL: Hashable, Sendable {
  /// What stands before the first colon.
  public var scheme: String
  /// The host, empty where there is none; without the brackets of an IPv6 address.
  public var host = ""
  /// The port.
  public var port: UInt16?
  /// The path, empty where there is none.
  public var path = ""
  /// Whether the scheme is followed by `//`.
  public var hasAuthority = false
  /// The parameters, in order.
  public var parameters: [(name: String, value: String)] {
    get { query.map { ($0.name, $0.value) } }
    set { query = newValue.map { Parameter(name: $0.name, value: $0.value) } }
  }
  /// The URL as it was given.
  public let text: String

  private struct Parameter: Hashable {
    var name: String
    var value: String
  }

  private var query: [Parameter] = []

  /// Reads a URL. What a scheme allows is checked by who opens it.
  public init(_ text: String) throws(ServiceError) {
    self.text = text
    guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
      throw ServiceError(
        .invalidArgument,
        "\"\(text)\" is not a service URL: expected SCHEME:PATH or SCHEME://HOST:PORT"
      )
    }
    scheme = String(text[..<colon])
    let rest = text[text.index(after: colon)...]
    guard rest.utf8.starts(with: "//".utf8) else {
      path = String(rest)
      return
    }
    hasAuthority = true
    let parts = rest.dropFirst(2).split(
      separator: "?",
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    let place = parts.first ?? ""
    let slash = place.firstIndex(of: "/") ?? place.endIndex
    try readAuthority(place[..<slash])
    path = try decode(place[slash...])
    guard parts.count > 1 else { return }
    for pair in parts[1].split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      query.append(
        Parameter(
          name: try decode(sides[0]),
          value: sides.count > 1 ? try decode(sides[1]) : ""
        )
      )
    }
  }

  /// An error about this URL.
  ///
  /// - Parameters:
  ///   - reason: What is wrong with it.
  ///   - expected: What was expected instead.
  public func refusal(_ reason: String, expected: String) -> ServiceError {
    ServiceError(.invalidArgument, "\"\(text)\": \(reason); expected \(expected)")
  }

  /// Takes parameters that the scheme knows; another one is an error.
  public func parameters(_ known: [String]) throws(ServiceError) -> [String: String] {
    var values: [String: String] = [:]
    for parameter in query {
      guard known.contains(parameter.name) else {
        let list = known.isEmpty ? "no parameters" : known.joined(separator: ", ")
        throw refusal("unknown parameter \"\(parameter.name)\"", expected: list)
      }
      guard values.updateValue(parameter.value, forKey: parameter.name) == nil else {
        throw refusal("parameter \"\(parameter.name)\" is repeated", expected: "it once")
      }
    }
    return values
  }

  private mutating func readAuthority(_ text: Substring) throws(ServiceError) {
    var hostText = text
    let afterBracket = text.lastIndex(of: "]") ?? text.startIndex
    if let colon = text[afterBracket...].lastIndex(of: ":") {
      guard let number = UInt16(text[text.index(after: colon)...]) else {
        throw refusal("the port is not a number", expected: "HOST:PORT")
      }
      port = number
      hostText = text[..<colon]
    }
    if hostText.first == "[" {
      guard hostText.last == "]" else { throw refusal("no closing bracket", expected: "[IPV6]") }
      hostText = hostText.dropFirst().dropLast()
    } else if hostText.contains(":") {
      throw refusal("an IPv6 address without brackets", expected: "[IPV6]:PORT")
    }
    host = String(hostText)
  }

  private func decode(_ text: Substring) throws(ServiceError) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
        rest.prefix(2).count == 2
      else {
        throw refusal("a % is not followed by two hexadecimal digits", expected: "%25 for a %")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension ServiceURL: CustomStringConvertible {
  /// The URL as it was given.
  public var description: String { text }
}
