import ArgumentParser
import Castore
import CastoreComposition
import CastoreStorage
import Glibc

/// Where the store is: the same for every command.
struct StoreOptions: ParsableArguments {
  @Option(
    name: .customLong("store"),
    help: ArgumentHelp(
      """
      The store: local:PATH or PATH, memory:, grpc+http://HOST[:PORT], grpc+https://HOST[:PORT] or \
      grpc+unix:///PATH (default: $CASTORE_STORE, or local:~/.local/share/castore).
      """,
      valueName: "url"
    )
  )
  var url: String?

  @Option(
    help: ArgumentHelp(
      "Keep what is read from a store elsewhere in this one: local:PATH or PATH.",
      valueName: "url"
    )
  )
  var cache: String?

  @Option(
    help: ArgumentHelp(
      "A store made of stores, as this TOML file describes it, in place of --store.",
      valueName: "file"
    )
  )
  var composition: String?

  @Option(help: ArgumentHelp("For experts: blobs from here.", valueName: "url"))
  var blobService: String?

  @Option(help: ArgumentHelp("For experts: directories from here.", valueName: "url"))
  var directoryService: String?

  @Option(help: ArgumentHelp("For experts: root names from here.", valueName: "url"))
  var rootService: String?

  @Option(help: ArgumentHelp("For experts: path infos from here.", valueName: "url"))
  var pathInfoService: String?

  @Option(
    help: ArgumentHelp(
      "Certificates (PEM) to trust with grpc+https instead of the system's.",
      valueName: "file"
    )
  )
  var trustedCertificates: String?

  // The services that have addresses of their own.
  private var parts: [(url: String?, option: String, kind: Services.Kind)] {
    [
      (blobService, "--blob-service", .blobs),
      (directoryService, "--directory-service", .directories),
      (rootService, "--root-service", .roots),
      (pathInfoService, "--path-info-service", .pathInfos),
    ]
  }

  func validate() throws {
    for (option, value) in [
      ("--store", url), ("--cache", cache), ("--composition", composition),
      ("--trusted-certificates", trustedCertificates),
    ] {
      if let value { try ArgumentBytes.requireText(value, option) }
    }
  }

  /// Opens the store, which must be on this machine.
  ///
  /// - Parameter create: Whether to make one where there is none.
  func open(create: Bool = false) throws -> LocalStore {
    let others = [("--cache", cache), ("--composition", composition)]
    for (option, value) in others + parts.map({ ($0.option, $0.url) }) where value != nil {
      throw ValidationError(
        "\(option): this command needs one local store; give --store local:PATH"
      )
    }
    return try open(path: localPath(of: storeURL()), create: create)
  }

  /// Makes a store on this machine, or opens the one that is there.
  func make(_ options: CastoreStorage.StoreOptions) throws -> LocalStore {
    try LocalStore(path: localPath(of: storeURL()), create: true, options: options)
  }

  /// Opens whatever the options name.
  ///
  /// - Parameter create: Whether to make a local store where there is none.
  func openServices(create: Bool = false) async throws -> Services {
    let opener = StoreOpener(trustedCertificates: trustedCertificates)
    do throws(ServiceError) {
      var services = try await openMain(opener, create: create)
      for (url, option, kind) in parts {
        guard let url else { continue }
        let opened = try await opener.open(StoreAddress.url(url), from: option)
        services.replace(opened, only: kind, named: url)
      }
      if let cache { services = try await services.cached(in: StoreAddress.url(cache), opener) }
      services.near = services.local ?? opener.onlyLocalStore
      return services
    } catch {
      // What is wrong with an address is wrong with the command line.
      if error.code == .invalidArgument { throw ValidationError(error.description) }
      throw error
    }
  }

  /// Opens another store, as these options say how.
  ///
  /// - Parameter option: The option that the URL was given with, for messages.
  func openOther(_ url: String, create: Bool, from option: String) async throws -> Services {
    let opener = StoreOpener(trustedCertificates: trustedCertificates)
    do throws(ServiceError) {
      var services = try await opener.openStore(
        StoreAddress.url(url),
        create: create,
        from: option
      )
      services.near = services.local ?? opener.onlyLocalStore
      return services
    } catch {
      if error.code == .invalidArgument { throw ValidationError(error.description) }
      throw error
    }
  }

  private func openMain(
    _ opener: StoreOpener,
    create: Bool
  ) async throws(ServiceError) -> Services {
    if let composition {
      if url != nil {
        throw ServiceError(.invalidArgument, "give either --store or --composition, not both")
      }
      return try await opener.compose(file: composition)
    }
    if blobService != nil && directoryService != nil
      && (rootService != nil || pathInfoService != nil)
    {
      return Services(name: "several services")
    }
    let url: String
    do { url = try storeURL() } catch { throw ServiceError(.invalidArgument, "\(error)") }
    return try await opener.openStore(url, create: create, from: "--store")
  }

  private func storeURL() throws -> String {
    try (url ?? environment("CASTORE_STORE")).map(StoreAddress.url)
      ?? "local:" + Self.defaultPath()
  }

  private func localPath(of url: String) throws -> String {
    guard url.hasPrefix("local:"), url.utf8.count > 6 else {
      throw ValidationError(
        "--store: this command needs a store on this machine, '\(url)' is none; expected local:PATH"
      )
    }
    return String(url.dropFirst(6))
  }

  private func open(path: String, create: Bool) throws -> LocalStore {
    let path = try StoreAddress.expandingHome(path)
    return try LocalStore(path: path, create: create)
  }

  private static func defaultPath() throws -> String {
    if let data = environment("XDG_DATA_HOME"), data.hasPrefix("/") { return data + "/castore" }
    guard let home = environment("HOME"), home.hasPrefix("/") else {
      throw ValidationError("neither --store nor CASTORE_STORE is given, and HOME is not set")
    }
    return home + "/.local/share/castore"
  }
}

/// A variable of the environment; an empty one counts as not set.
func environment(_ name: String) -> String? {
  guard let value = getenv(name), value.pointee != 0 else { return nil }
  return String(cString: value)
}
