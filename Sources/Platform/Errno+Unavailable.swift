internal import Glibc

extension Errno {
  /// Whether a call, which another one can stand in for, is not to be had here.
  ///
  /// It may be missing in the kernel, unknown to the file system, or forbidden: older profiles of containers
  /// and some network file systems say EPERM for what they do not know.
  public var meansUnavailable: Bool {
    [ENOSYS, EPERM, EINVAL, EOPNOTSUPP].contains(code)
  }
}
