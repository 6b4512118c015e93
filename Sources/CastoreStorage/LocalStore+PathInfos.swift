package import Castore

extension LocalStore {
  /// The bytes under a path info key; `nil` where there are none.
  package func pathInfo(_ key: [UInt8]) throws(ServiceError) -> [UInt8]? {
    try core.index.read { (reader) throws(ServiceError) in
      try key.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        try reader.withValue(.pathInfos, key) { (value) throws(ServiceError) -> [UInt8]? in
          value.map { [UInt8]($0) }
        }
      }
    }
  }

  /// Sets the bytes under a path info key of 1 to 511 bytes, durably.
  package func setPathInfo(_ key: [UInt8], to value: [UInt8]) throws(ServiceError) {
    try core.index.write { (writer) throws(ServiceError) in
      try key.span.bytes.withUnsafeBytes { (key) throws(ServiceError) in
        try value.span.bytes.withUnsafeBytes { (value) throws(ServiceError) in
          try writer.set(.pathInfos, key, value)
        }
      }
    }
  }

  /// Lists path infos in the order of their keys, those after `key`.
  package func pathInfos(
    after key: [UInt8]?,
    limit: Int
  ) throws(ServiceError) -> [(key: [UInt8], value: [UInt8])] {
    var found: [(key: [UInt8], value: [UInt8])] = []
    try core.index.read { (reader) throws(ServiceError) in
      try reader.forEach(.pathInfos, after: key) { (key, value) throws(ServiceError) in
        if found.count >= limit { return false }
        found.append(([UInt8](key), [UInt8](value)))
        return true
      }
    }
    return found
  }
}
