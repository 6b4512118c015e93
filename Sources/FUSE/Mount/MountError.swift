public import Platform

/// Why a file system could not be mounted or unmounted.
public enum MountError: Error, Hashable, Sendable {
  /// There is no usable `/dev/fuse`.
  case device(Errno)
  /// The mount point cannot be used.
  case mountPoint(path: String, Errno)
  /// The mount would hide what is at the mount point.
  case occupied(path: String, Occupant)
  /// `mount(2)` refused.
  case mount(path: String, Errno)
  /// `fusermount3` could not be started.
  case helperMissing(Errno)
  /// `fusermount3` refused, with what it said.
  case helper(path: String, message: String)
  /// The kernel ended the connection before it accepted our INIT.
  case notReady(path: String, MountEnd)
  /// The kernel speaks a version of the protocol that is too old.
  case tooOld(path: String, major: UInt32, minor: UInt32, oldestMinor: UInt32)
  /// No threads to serve with.
  case threads(Errno)
  /// `umount2(2)` refused.
  case unmount(path: String, Errno)
  /// The kernel does not say which mount is ours, so that none is unmounted.
  case unknown(path: String, Errno)
  /// Something else is mounted on top: unmount that first.
  case covered(path: String)

  /// What is at a mount point.
  public enum Occupant: Hashable, Sendable {
    /// Files or folders.
    case files
    /// A mounted FUSE file system.
    case mount
  }
}

extension MountError: CustomStringConvertible {
  /// What went wrong and what to do about it.
  public var description: String {
    switch self {
    case .device(let error):
      "cannot open /dev/fuse: \(error). "
        + "Load the kernel module (`modprobe fuse`), or let this user open the device"
    case .mountPoint(let path, let error):
      "cannot mount at \(path): \(error)"
    case .occupied(let path, .files):
      "cannot mount at \(path): the folder is not empty"
    case .occupied(let path, .mount):
      "cannot mount at \(path): a file system is mounted there already"
    case .mount(let path, let error):
      "cannot mount at \(path): the kernel says \(error)"
    case .helperMissing(let error):
      "mounting without root needs fusermount3 (Debian package fuse3): \(error)"
    case .helper(let path, let message):
      "cannot mount at \(path): \(message)\(hint(message))"
    case .notReady(let path, let end):
      "the kernel did not accept the file system at \(path): \(end)"
    case .tooOld(let path, let major, let minor, let oldest):
      "cannot mount at \(path): the kernel speaks version \(major).\(minor) of the FUSE protocol, and "
        + "7.\(oldest) or later is needed"
    case .threads(let error):
      "cannot start threads: \(error)"
    case .unmount(let path, let error):
      "cannot unmount \(path): \(error)"
    case .unknown(let path, let error):
      "cannot tell which mount was made at \(path), so that it must be unmounted by hand: \(error). "
        + "Linux 5.8 tells, or /proc"
    case .covered(let path):
      "cannot unmount \(path): something else is mounted on top of it"
    }
  }

  private func hint(_ message: String) -> String {
    if message.contains("/dev/fuse") {
      return ". This user may not open /dev/fuse: its mode must be 0666, or mount as root"
    }
    if message.contains("user_allow_other") {
      return ". Add the line `user_allow_other` to /etc/fuse.conf, or do not allow others"
    }
    if message.contains("mount_max") {
      return ". The limit stands in /etc/fuse.conf"
    }
    return ""
  }
}
