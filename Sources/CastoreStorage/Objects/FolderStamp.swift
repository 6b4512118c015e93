internal import Castore
internal import Glibc
internal import Platform

/// When a folder's names were changed last, as far as its times tell.
struct FolderStamp: Equatable {
  private var seconds: Int
  private var nanoseconds: Int
  /// Whether the folder was listed so soon after it changed that another change could have the same time.
  private(set) var isUncertain: Bool

  /// Times of folders are as coarse as the kernel's clock ticks, on network file systems coarser.
  private static let granularity = 2_000_000_000

  /// Looks at a folder; before it is listed.
  init(_ folder: CInt, path: String) throws(ServiceError) {
    var status = stat()
    if fstat(folder, &status) != 0 { throw ServiceError.system(.current, "look at \(path)") }
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let (age, overflow) = (now.tv_sec - seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let granularity = nanoseconds == 0 ? Self.granularity : 20_000_000
    isUncertain = !overflow && age + now.tv_nsec - nanoseconds < granularity
  }

  /// Whether a listing that was taken at this stamp is what one taken now would be.
  func proves(_ now: FolderStamp) -> Bool {
    !isUncertain && seconds == now.seconds && nanoseconds == now.nanoseconds
  }
}
