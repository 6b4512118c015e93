internal import CLinux
internal import Glibc
internal import Platform

/// One stretch of a guest's memory, mapped into this process until nobody holds the region any more.
final class MemoryRegion: Sendable {
  let description: RegionDescription
  /// Where the region begins here. Valid while the region lives.
  let host: UInt
  private let mapping: GuardedMapping

  /// Maps a region after checking all that the front end says about it.
  ///
  /// - Parameter file: A file with at least as many bytes as the region claims. Where it takes seals it gets
  ///   the one against shrinking; memory that turns out to be missing all the same breaks the region.
  init(_ description: RegionDescription, file: borrowing OwnedDescriptor) throws(FrontEndFault) {
    let name = "region at guest address \(description.guestAddress)"
    guard description.size > 0 else { throw FrontEndFault("\(name): empty") }
    let (_, guestOverflow) = description.guestAddress.addingReportingOverflow(description.size)
    let (_, userOverflow) = description.userAddress.addingReportingOverflow(description.size)
    let (fileEnd, fileOverflow) = description.fileOffset.addingReportingOverflow(description.size)
    guard !guestOverflow, !userOverflow, !fileOverflow, fileEnd <= UInt64(Int64.max) else {
      throw FrontEndFault("\(name): its end is beyond all addresses")
    }
    // Before its size is looked at. Failure: no such file, or sealed already, with this seal or without.
    _ = fcntl(file.number, CInt(CLinux_F_ADD_SEALS), CInt(CLinux_F_SEAL_SHRINK))
    var status = stat()
    guard fstat(file.number, &status) == 0 else {
      throw FrontEndFault("\(name): fstat: \(Errno.current)")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FrontEndFault("\(name): not a file in memory")
    }
    guard let fileSize = UInt64(exactly: status.st_size), fileEnd <= fileSize else {
      throw FrontEndFault(
        "\(name): needs \(fileEnd) bytes of its file, which has \(status.st_size)"
      )
    }
    // On hugetlbfs the block size is that of its pages, which mappings must be aligned to.
    let block = UInt64(exactly: status.st_blksize) ?? 4096
    let page = block > 4096 && block.nonzeroBitCount == 1 && block <= 1 << 30 ? block : 4096
    let start = description.fileOffset & ~(page - 1)
    // No overflow: both ends are below 2^63, and a page is at most 2^30.
    let length = (fileEnd - start + page - 1) & ~(page - 1)
    guard let length = Int(exactly: length), let start = off_t(exactly: start) else {
      throw FrontEndFault("\(name): too large")
    }
    do throws(Errno) {
      mapping = try GuardedMapping(file, offset: start, length: length, page: Int(page))
    } catch {
      throw FrontEndFault("\(name): mmap: \(error)")
    }
    self.description = description
    // Within the mapping: the offset is below `fileEnd`.
    host = mapping.start + UInt(description.fileOffset - UInt64(start))
  }

  /// Whether a part of it was touched that the host could not provide. Its contents are lost then.
  var isBroken: Bool { mapping.isBroken }

  /// How many bytes from a guest address to the end of the region, or nil if it lies elsewhere.
  func remaining(fromGuest address: UInt64) -> UInt64? {
    guard address >= description.guestAddress else { return nil }
    let offset = address - description.guestAddress
    return offset < description.size ? description.size - offset : nil
  }

  /// How many bytes from an address of the front end to the end of the region.
  func remaining(fromUser address: UInt64) -> UInt64? {
    guard address >= description.userAddress else { return nil }
    let offset = address - description.userAddress
    return offset < description.size ? description.size - offset : nil
  }

  /// The byte that lies `remaining` bytes before the end.
  func pointer(remaining: UInt64) -> UnsafeMutableRawPointer? {
    guard remaining <= description.size else { return nil }
    // No overflow: inside the mapping.
    return UnsafeMutableRawPointer(bitPattern: host + UInt(description.size - remaining))
  }
}
