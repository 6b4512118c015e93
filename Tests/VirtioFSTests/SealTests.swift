import CLinux
import Glibc
import Platform
import Testing

@testable import VirtioFS

/// Guest memory whose file the front end would like to cut while we have it mapped.
struct SealTests {
  @Test("the file of a region cannot be cut while it is mapped, if it takes seals")
  func shrinking() throws {
    let flags = UInt32(CLinux_MFD_CLOEXEC) | UInt32(CLinux_MFD_ALLOW_SEALING)
    let file = OwnedDescriptor(
      adopting: try retryingOnInterrupt { memfd_create("guest", flags) }
    )
    #expect(ftruncate(file.number, 1 << 16) == 0)
    let description = RegionDescription(
      guestAddress: 0,
      size: 1 << 16,
      userAddress: 1 << 40,
      fileOffset: 0
    )
    let region = try MemoryRegion(description, file: file)
    #expect(ftruncate(file.number, 4096) == -1)
    #expect(ftruncate(file.number, 1 << 17) == 0)
    withExtendedLifetime(region) {}
  }
}
