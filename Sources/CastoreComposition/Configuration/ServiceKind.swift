public import Castore
public import NixStore

/// One of the four kinds of services that stores consist of: what is the same for all of them is written once.
public struct ServiceKind<Service: Sendable>: Sendable {
  /// The table of a composition file that holds services of the kind.
  public let tableName: String
  /// Which of the services of a store is of the kind.
  public let place: any WritableKeyPath<OpenedServices, Service?> & Sendable

  init(_ tableName: String, _ place: any WritableKeyPath<OpenedServices, Service?> & Sendable) {
    self.tableName = tableName
    self.place = place
  }
}

/// The four kinds.
public enum ServiceKinds {
  /// `[blobservices.NAME]`
  public static let blobs = ServiceKind<any BlobService>("blobservices", \.blobs)
  /// `[directoryservices.NAME]`
  public static let directories = ServiceKind<any DirectoryService>(
    "directoryservices",
    \.directories
  )
  /// `[pathinfoservices.NAME]`
  public static let pathInfos = ServiceKind<any PathInfoService>("pathinfoservices", \.pathInfos)
  /// `[rootservices.NAME]`: our own, existing files have none.
  public static let roots = ServiceKind<any RootNodes>("rootservices", \.roots)

  static let tableNames = [
    blobs.tableName, directories.tableName, pathInfos.tableName, roots.tableName,
  ]
}

/// What tells something apart from others of its kind, and from those of other kinds.
struct ServiceKey: Hashable, Sendable {
  let tableName: String
  let name: String

  init<Service>(_ kind: ServiceKind<Service>, _ name: String) {
    tableName = kind.tableName
    self.name = name
  }
}
