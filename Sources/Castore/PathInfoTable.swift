/// A durable table from short keys to path infos, which a store lends to the layer that knows what they mean.
/// Calls may block on the local disk; safe from any thread.
package protocol PathInfoTable: Sendable {
  /// What the table is part of, for messages.
  var tableDescription: String { get }

  /// The bytes under a key; `nil` where there are none.
  func value(_ key: [UInt8]) throws(ServiceError) -> [UInt8]?

  /// Sets the bytes under a key, durably. Setting what is there already does nothing.
  ///
  /// - Parameter node: What the bytes refer to: kept for as long as they are there, if it is there.
  func set(_ key: [UInt8], to value: [UInt8], node: Node) throws(ServiceError)

  /// Takes a key away, durably.
  ///
  /// - Returns: Whether it was there.
  func remove(_ key: [UInt8]) throws(ServiceError) -> Bool

  /// Lists at most `limit` entries in the order of their keys, those after `key`.
  func entries(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [(key: [UInt8], value: [UInt8])]

  /// A number that is another one whenever an entry was set or taken away since, by whatever process.
  func version() throws(ServiceError) -> UInt64
}
