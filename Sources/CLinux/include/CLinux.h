// What Glibc's module does not show to Swift: GNU prototypes, macros as functions, constants.
// Grouped by man page. Redeclared prototypes bind to libc itself and cost nothing.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include "CLinuxSignals.h"
#include "CLinuxVirtio.h"

// openat2(2): the variadic syscall(2) cannot be called from Swift.
#define CLinux_RESOLVE_NO_MAGICLINKS 0x02
#define CLinux_RESOLVE_NO_SYMLINKS 0x04
#define CLinux_RESOLVE_BENEATH 0x08
int CLinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode,
                   uint64_t resolve);

// renameat2(2)
#define CLinux_RENAME_NOREPLACE 1

// linux/fs.h: where the next data or hole of a sparse file is.
#define CLinux_SEEK_DATA 3
#define CLinux_SEEK_HOLE 4
extern int renameat2(int oldDirectory, const char *oldPath, int newDirectory, const char *newPath,
                     unsigned int flags);

// statx(2): which mount and which device an open descriptor is on, without asking the file system itself.
// Returns 0, or -1 with errno; ENOSYS where the kernel does not say.
int CLinux_mount_of(int descriptor, uint64_t *mount, uint32_t *major, uint32_t *minor);

// syncfs(2), copy_file_range(2)
extern int syncfs(int fd);
extern ssize_t copy_file_range(int from, long *fromOffset, int to, long *toOffset, size_t length,
                               unsigned int flags);

// sync_file_range(2)
#define CLinux_SYNC_FILE_RANGE_WRITE 2
extern int sync_file_range(int fd, long offset, long length, unsigned int flags);

// fallocate(2): fails where the file system cannot, and never writes zeros instead.
extern int fallocate(int fd, int mode, long offset, long length);

// malloc_trim(3)
extern int malloc_trim(size_t pad);

// open(2): differs from processor to processor.
#if defined(__aarch64__) || defined(__arm__)
#define CLinux_O_DIRECT 0x10000
#else
#define CLinux_O_DIRECT 0x4000
#endif

// open_by_handle_at(2)
struct file_handle;
extern int name_to_handle_at(int directory, const char *path, struct file_handle *handle,
                             int *mountID, int flags);
extern int open_by_handle_at(int mount, struct file_handle *handle, int flags);

// sendfile(2), readahead(2)
extern ssize_t sendfile(int out, int in, long *offset, size_t count);
extern ssize_t readahead(int fd, long offset, size_t count);

// ioctl_ficlone(2): `_IOW(0x94, 9, int)`.
#define CLinux_FICLONE 0x40049409UL

// pthread_setname_np(3); pthread_t is an unsigned long here.
extern int pthread_setname_np(unsigned long thread, const char *name);

// unix(7): one byte with one descriptor (close-on-exec); the CMSG macros are not importable.
// Returns the descriptor, -1 with errno, or -2 if the peer closed or sent none.
int CLinux_receive_descriptor(int socket);

// environ(7): a variable that Swift holds for unsafe to read.
char **CLinux_environ(void);

// The program's arguments as the C library got them, its name first, NULL last. Swift reads them from
// /proc, which need not be there.
char **CLinux_arguments(void);

#endif
