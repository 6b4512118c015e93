internal import Glibc

/// What changes about a file when somebody writes to it.
struct ChangeStamp: Equatable {
  private var size: off_t
  private var modified: Int
  private var modifiedNanoseconds: Int
  private var changed: Int
  private var changedNanoseconds: Int

  init(_ status: stat) {
    size = status.st_size
    modified = status.st_mtim.tv_sec
    modifiedNanoseconds = status.st_mtim.tv_nsec
    changed = status.st_ctim.tv_sec
    changedNanoseconds = status.st_ctim.tv_nsec
  }
}
