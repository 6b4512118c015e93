import Castore
import CastoreComposition
import CastoreRPC
import CastoreStorage
import Glibc
import NixStore
import Platform

/// Opens stores by their addresses, each local one once.
final class StoreOpener: Sendable {
  private let grpc: GRPCServices
  private let locals = Guarded<[String: LocalStore]>([:])

  init(trustedCertificates: String? = nil) {
    var options = PeerOptions()
    options.trustedCertificates = trustedCertificates
    grpc = GRPCServices(options: options)
  }

  /// The store on this machine, where there is exactly one.
  var onlyLocalStore: LocalStore? {
    locals.withLock { $0.count == 1 ? $0.values.first : nil }
  }

  /// Opens a store by its URL.
  ///
  /// - Parameter option: The option that the URL was given with, for messages.
  func openStore(
    _ url: String,
    create: Bool,
    from option: String
  ) async throws(ServiceError) -> Services {
    if url.hasPrefix("local:") {
      do throws(ServiceError) {
        return Services(try local(ServiceURL(url), create: create), name: url)
      } catch {
        throw Self.naming(option, error)
      }
    }
    return Services(try await open(url, from: option), name: url)
  }

  /// Opens the services of a URL; a local store is made where it is missing.
  ///
  /// - Parameter option: The option that the URL was given with, for messages.
  func open(
    _ url: String,
    from option: String
  ) async throws(ServiceError) -> OpenedServices {
    do throws(ServiceError) {
      return try await registry.open(url)
    } catch {
      throw Self.naming(option, error)
    }
  }

  private static func naming(_ option: String, _ error: ServiceError) -> ServiceError {
    guard error.code == .invalidArgument else { return error }
    return ServiceError(.invalidArgument, "\(option): \(error.message)", cause: error.cause)
  }

  /// Makes the services that a file describes.
  func compose(file: String) async throws(ServiceError) -> Services {
    let composition = Composition(
      try CompositionFile(toml: try Self.text(of: file), name: file),
      registry: registry
    )
    var services = Services(try await composition.entry(), name: file)
    services.onSettle.append { await composition.settle() }
    return services
  }

  private var registry: ServiceRegistry {
    var registry = ServiceRegistry.standard
    grpc.register(in: &registry)
    registry.addScheme("local") { [self] url async throws(ServiceError) in
      Self.services(of: try local(url, create: true))
    }
    registry.addStore(type: "local") { [self] fields async throws(ServiceError) in
      Self.services(of: try local(path: fields.requiredString("path"), create: true))
    }
    return registry
  }

  private static func services(of store: LocalStore) -> OpenedServices {
    OpenedServices(
      blobs: store,
      directories: store,
      roots: store,
      pathInfos: store.pathInfos
    )
  }

  /// Opens a local store by its URL.
  func local(_ url: ServiceURL, create: Bool) throws(ServiceError) -> LocalStore {
    guard url.scheme == "local", !url.hasAuthority, !url.path.isEmpty else {
      throw url.refusal("not the address of a local store", expected: "local:PATH")
    }
    return try local(path: url.path, create: create)
  }

  private func local(path: String, create: Bool) throws(ServiceError) -> LocalStore {
    let path = try StoreAddress.expandingHome(path)
    // One index must not be opened twice by one process.
    return try locals.withLock { (locals) throws(ServiceError) in
      if let store = locals[path] { return store }
      let store: LocalStore
      do throws(ServiceError) {
        store = try LocalStore(path: path, create: create)
      } catch {
        // A folder that is no store is no fault of the address.
        let code = error.code == .invalidArgument ? .io : error.code
        throw ServiceError(code, error.message, cause: error.cause)
      }
      locals[path] = store
      return store
    }
  }

  private static func text(of file: String) throws(ServiceError) -> String {
    do throws(Errno) {
      let number = Glibc.open(file, O_RDONLY | O_CLOEXEC)
      guard number >= 0 else { throw Errno.current }
      let descriptor = OwnedDescriptor(adopting: number)
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while bytes.count < 16 << 20 {
        let count = read(descriptor.number, &buffer, buffer.count)
        if count < 0 { throw Errno.current }
        if count == 0 { break }
        bytes += buffer[..<count]
      }
      return String(decoding: bytes, as: UTF8.self)
    } catch {
      throw ServiceError(error, "cannot read the composition \(file)")
    }
  }
}
