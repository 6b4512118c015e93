import ArgumentParser
import Castore
import NixCompat
import NixStore

/// With which key path infos are signed.
struct SigningOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Sign with the key in a file, as nix-store --generate-binary-cache-key writes it.",
      valueName: "file"
    )
  )
  var secretKeyFile: String?

  /// Path infos, which are signed when they are put where a key is given.
  func pathInfos(of services: Services) throws -> any PathInfoService {
    guard let secretKeyFile else { return services.pathInfos }
    let text = try readAll(of: secretKeyFile, limit: 64 << 10)
    do {
      let key = try NixSecretKey(parsing: String(decoding: text, as: UTF8.self))
      return Self.signing(services.pathInfos, key)
    } catch {
      throw CommandError("\(secretKeyFile) does not hold a secret key: \(error)")
    }
  }

  private static func signing(
    _ infos: some PathInfoService,
    _ key: NixSecretKey
  ) -> any PathInfoService {
    SigningPathInfoService(infos, key: key)
  }
}
