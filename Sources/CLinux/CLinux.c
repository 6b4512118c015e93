#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(CLinux_RESOLVE_BENEATH == RESOLVE_BENEATH, "openat2 resolve flags");
_Static_assert(CLinux_RESOLVE_NO_SYMLINKS == RESOLVE_NO_SYMLINKS, "openat2 resolve flags");
_Static_assert(CLinux_RESOLVE_NO_MAGICLINKS == RESOLVE_NO_MAGICLINKS, "openat2 resolve flags");

_Static_assert(CLinux_O_DIRECT == O_DIRECT, "open flags");

int CLinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode,
                   uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int CLinux_mount_of(int descriptor, uint64_t *mount, uint32_t *major, uint32_t *minor) {
  struct statx status;
  int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (statx(descriptor, "", flags, STATX_MNT_ID, &status) != 0) return -1;
  if (!(status.stx_mask & STATX_MNT_ID)) {
    errno = ENOSYS;
    return -1;
  }
  *mount = status.stx_mnt_id;
  *major = status.stx_dev_major;
  *minor = status.stx_dev_minor;
  return 0;
}

_Static_assert(_Generic((pthread_t)0, unsigned long: 1, default: 0), "pthread_setname_np");

int CLinux_receive_descriptor(int socket) {
  char byte;
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (count == -1 && errno == EINTR);
  if (count == -1) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (count == 0 || header == NULL || header->cmsg_level != SOL_SOCKET ||
      header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
    return -2;
  int descriptor;
  memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

char **CLinux_environ(void) { return environ; }

static char **argumentVector;

// The C library hands constructors what it hands main.
__attribute__((constructor)) static void keepArguments(int count, char **vector, char **variables) {
  (void)count;
  (void)variables;
  argumentVector = vector;
}

char **CLinux_arguments(void) { return argumentVector; }
