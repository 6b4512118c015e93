/// A durable table from short keys to bytes, which a store lends to layers above that know what the
/// bytes mean. Calls may block on the local disk; safe from any thread.
package protocol ByteTable: Sendable {
  /// What the table is part of, for messages.
  var tableDescription: String { get }

  /// The bytes under a key; `nil` where there are none.
  func value(_ key: [UInt8]) throws(ServiceError) -> [UInt8]?

  /// Sets the bytes under a key of 1 to 511 bytes, durably. Setting what is there already does nothing.
  func set(_ key: [UInt8], to value: [UInt8]) throws(ServiceError)

  /// Lists at most `limit` entries in the order of their keys, those after `key`.
  func entries(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [(key: [UInt8], value: [UInt8])]

  /// A number that is another one whenever an entry was set since, by whatever process.
  func version() throws(ServiceError) -> UInt64
}
