package import Castore
package import NixStore

/// What a server serves.
package struct ServedServices: Sendable {
  /// Blobs.
  package var blobs: (any Castore.BlobService)?
  /// Directories.
  package var directories: (any Castore.DirectoryService)?
  /// Root names.
  package var roots: (any RootNodes)?
  /// Path infos.
  package var pathInfos: (any PathInfoService)?
  /// Who computes the hashes of NARs for those who ask for it.
  package var calculator: (any NARCalculator)?

  /// Names services.
  package init(
    blobs: (any Castore.BlobService)? = nil,
    directories: (any Castore.DirectoryService)? = nil,
    roots: (any RootNodes)? = nil,
    pathInfos: (any PathInfoService)? = nil,
    calculator: (any NARCalculator)? = nil
  ) {
    self.blobs = blobs
    self.directories = directories
    self.roots = roots
    self.pathInfos = pathInfos
    self.calculator = calculator
  }
}

/// How a server goes about it.
package struct ServerOptions: Sendable {
  /// Certificate chain and private key.
  package struct TLS: Hashable, Sendable {
    /// A file of certificates in PEM, the server's own first.
    package var certificates: String
    /// A file with the private key in PEM.
    package var privateKey: String

    /// Names the files.
    package init(certificates: String, privateKey: String) {
      self.certificates = certificates
      self.privateKey = privateKey
    }
  }

  /// Encrypts all TCP addresses; never the Unix sockets.
  package var tls: TLS?
  /// The longest message accepted, in bytes.
  package var messageLimit = WireLimits.message
  /// How many directories are held in memory.
  package var directoryLimits = DirectoryServer.Limits()
  /// How long a client may take from connecting to its first message, encryption included.
  package var greetingTimeout: Duration = .seconds(20)
  /// How many bytes of a blob are sent in one message.
  package var blobMessageSize = WireLimits.blobMessage
  /// Whether parts of blobs can be read, by our own protocol; the servers of the others have none.
  package var offersRanges = true

  /// The defaults: no encryption.
  package init() {}
}
