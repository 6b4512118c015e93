import CastoreTestSupport
import Foundation
import Glibc

/// An NFS server in user space (nfs-ganesha) that exports a folder for as long as a test runs.
final class NFSServer: Sendable {
  private let process: pid_t
  private let folder: TestFolder
  private let port: UInt16

  /// Starts it, and returns when it listens.
  init(exporting path: String, in folder: TestFolder) async throws {
    self.folder = folder
    port = try Self.freePort()
    let configuration = """
      NFS_Core_Param {
        Protocols = 4;
        NFS_Port = \(port);
        Bind_addr = 127.0.0.1;
        Enable_NLM = false;
        Enable_RQUOTA = false;
      }
      NFSv4 { Graceless = true; RecoveryBackend = fs; RecoveryRoot = "\(folder.path)"; }
      NFS_KRB5 { Active_krb5 = false; }
      EXPORT {
        Export_Id = 1;
        Path = "\(path)";
        Pseudo = "/export";
        Filesystem_Id = 77.1;
        Access_Type = RO;
        Squash = None;
        SecType = sys;
        Protocols = 4;
        Transports = TCP;
        FSAL { Name = VFS; }
      }
      """
    try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder.sub("ganesha.conf")))
    process = try spawn(
      [
        "/usr/bin/ganesha.nfsd", "-F", "-f", folder.sub("ganesha.conf"), "-p", folder.sub("pid"),
        "-L", folder.sub("ganesha.log"),
      ],
      errors: folder.sub("ganesha.err")
    )
    while !log.contains("NFS SERVER INITIALIZED") {
      guard waitpid(process, nil, WNOHANG) == 0 else { throw CallError(code: ESRCH) }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  deinit {
    kill(process, SIGKILL)
    waitpid(process, nil, 0)
  }

  /// What it says.
  var log: String {
    (try? String(contentsOfFile: folder.sub("ganesha.log"), encoding: .utf8)) ?? ""
  }

  /// The address of something in the export, for libnfs.
  func url(_ path: String) -> String {
    "nfs://127.0.0.1/export\(path)?version=4&nfsport=\(port)"
  }

  private static func freePort() throws -> UInt16 {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(file) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(file, $0, size) == 0 ? getsockname(file, $0, &size) : -1
      }
    }
    guard code == 0 else { throw CallError(code: errno) }
    return UInt16(bigEndian: address.sin_port)
  }
}
