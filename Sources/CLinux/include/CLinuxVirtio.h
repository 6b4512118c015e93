// What a vhost-user device needs: memory shared with a virtual machine, descriptors over sockets.
#ifndef CLINUX_VIRTIO_H
#define CLINUX_VIRTIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Memory that somebody else changes at any time. Each load happens exactly once, which a plain load does
// not promise, so that what was checked is what is used. Addresses are aligned to the size.
static inline uint16_t CLinux_load16(const void *_Nonnull from) {
  return __atomic_load_n((const uint16_t *)from, __ATOMIC_RELAXED);
}
static inline uint16_t CLinux_load16_acquire(const void *_Nonnull from) {
  return __atomic_load_n((const uint16_t *)from, __ATOMIC_ACQUIRE);
}
static inline uint64_t CLinux_load64(const void *_Nonnull from) {
  return __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED);
}
static inline void CLinux_store16(void *_Nonnull to, uint16_t value) {
  __atomic_store_n((uint16_t *)to, value, __ATOMIC_RELAXED);
}
static inline void CLinux_store16_release(void *_Nonnull to, uint16_t value) {
  __atomic_store_n((uint16_t *)to, value, __ATOMIC_RELEASE);
}
static inline void CLinux_store32(void *_Nonnull to, uint32_t value) {
  __atomic_store_n((uint32_t *)to, value, __ATOMIC_RELAXED);
}
static inline void CLinux_store64(void *_Nonnull to, uint64_t value) {
  __atomic_store_n((uint64_t *)to, value, __ATOMIC_RELAXED);
}
static inline void CLinux_full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// A copy that no compiler can take for the original: the function is opaque to its callers.
void CLinux_copy_shared(void *_Nonnull to, const void *_Nonnull from, size_t count);

// unix(7): how many descriptors go with one message at most.
#define CLinux_maximumDescriptors 32

// unix(7): bytes of a stream with descriptors, which the caller owns then (close-on-exec). Returns what
// recvmsg(2) returns; `*truncated` is set if more descriptors came than `capacity`, at most 32.
ssize_t CLinux_receive_descriptors(int socket, void *_Nonnull bytes, size_t count, int flags,
                                   int *_Nonnull descriptors, size_t capacity,
                                   size_t *_Nonnull received, int *_Nonnull truncated);

// unix(7): bytes with up to 32 descriptors, which stay the caller's. Returns what sendmsg(2) returns.
ssize_t CLinux_send_descriptors(int socket, const void *_Nonnull bytes, size_t count, int flags,
                                const int *_Nullable descriptors, size_t descriptorCount);

// Mapped files whose pages may turn out not to be there (a full tmpfs, an empty pool of huge pages, a file
// that was cut): touching them is SIGBUS, which ends the process. Where a mapping is guarded its missing page
// is replaced by empty memory of our own instead, and the guard remembers it: see CLinuxGuard.c.
struct CLinux_guard;

// Guards a mapping of pages of a size (a power of two; the length is a multiple). NULL if memory is out.
struct CLinux_guard *_Nullable CLinux_guard_begin(void *_Nonnull mapping, size_t length, size_t page);
// To be called before the mapping goes.
void CLinux_guard_end(struct CLinux_guard *_Nonnull guard);
// Whether a page was missing.
int CLinux_guard_tripped(const struct CLinux_guard *_Nonnull guard);

// eventfd(2) that blocks by itself: reads without waiting. Returns what read(2) returns.
ssize_t CLinux_eventfd_read(int file, uint64_t *_Nonnull value);

// eventfd(2), memfd_create(2), accept4(2)
#define CLinux_EFD_CLOEXEC 02000000
#define CLinux_EFD_NONBLOCK 04000
#define CLinux_MFD_CLOEXEC 1u
#define CLinux_MFD_ALLOW_SEALING 2u
#define CLinux_O_PATH 010000000
#define CLinux_POLLRDHUP 0x2000
#define CLinux_MADV_DONTDUMP 16
#define CLinux_F_ADD_SEALS 1033
#define CLinux_F_SEAL_SHRINK 2
#define CLinux_F_SEAL_GROW 4
extern int eventfd(unsigned int initial, int flags);
extern int memfd_create(const char *_Nonnull name, unsigned int flags);
int CLinux_accept(int socket);

#endif
