extension StorePath {
  /// The name that a file or folder gets in the store: the last component of its path.
  ///
  /// - Throws: `invalidLength` if the path has no last component, as `/` and `a/..`; errors of the
  ///   name.
  public static func name(forPath path: [UInt8]) throws(StorePathError) -> String {
    let components = path.split(separator: UInt8(ascii: "/")).filter { $0 != [UInt8(ascii: ".")] }
    guard let last = components.last, last != Array("..".utf8)[...] else {
      throw .invalidLength(0)
    }
    return try validName(Array(last).span)
  }
}
