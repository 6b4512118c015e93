#define _GNU_SOURCE
#include "CLinuxVirtio.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { maximumDescriptors = CLinux_maximumDescriptors };

_Static_assert(CLinux_EFD_CLOEXEC == EFD_CLOEXEC, "eventfd flags");
_Static_assert(CLinux_EFD_NONBLOCK == EFD_NONBLOCK, "eventfd flags");
_Static_assert(CLinux_MFD_CLOEXEC == MFD_CLOEXEC, "memfd_create flags");
_Static_assert(CLinux_MFD_ALLOW_SEALING == MFD_ALLOW_SEALING, "memfd_create flags");
_Static_assert(CLinux_O_PATH == O_PATH, "open flags");
_Static_assert(CLinux_F_ADD_SEALS == F_ADD_SEALS, "fcntl commands");
_Static_assert(CLinux_F_SEAL_SHRINK == F_SEAL_SHRINK, "seals");
_Static_assert(CLinux_F_SEAL_GROW == F_SEAL_GROW, "seals");
_Static_assert(CLinux_MADV_DONTDUMP == MADV_DONTDUMP, "madvise advice");
_Static_assert(CLinux_POLLRDHUP == POLLRDHUP, "poll events");

void CLinux_copy_shared(void *to, const void *from, size_t count) { memcpy(to, from, count); }

ssize_t CLinux_receive_descriptors(int socket, void *bytes, size_t count, int flags,
                                   int *descriptors, size_t capacity, size_t *received,
                                   int *truncated) {
  union {
    char bytes[CMSG_SPACE(maximumDescriptors * sizeof(int))];
    struct cmsghdr alignment;
  } control;
  struct iovec part = {.iov_base = bytes, .iov_len = count};
  struct msghdr message = {
      .msg_iov = &part,
      .msg_iovlen = 1,
      .msg_control = control.bytes,
      .msg_controllen = sizeof control.bytes,
  };
  *received = 0;
  *truncated = 0;
  ssize_t result = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  if (result < 0) return result;
  // The kernel has closed what found no room in `control`.
  if (message.msg_flags & MSG_CTRUNC) *truncated = 1;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    size_t found = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < found; index++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(item) + index * sizeof(int), sizeof descriptor);
      if (*received < capacity) {
        descriptors[(*received)++] = descriptor;
      } else {
        close(descriptor);
        *truncated = 1;
      }
    }
  }
  return result;
}

ssize_t CLinux_send_descriptors(int socket, const void *bytes, size_t count, int flags,
                                const int *descriptors, size_t descriptorCount) {
  union {
    char bytes[CMSG_SPACE(maximumDescriptors * sizeof(int))];
    struct cmsghdr alignment;
  } control;
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptorCount > maximumDescriptors) descriptorCount = maximumDescriptors;
  if (descriptors && descriptorCount > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptorCount * sizeof(int));
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(descriptorCount * sizeof(int));
    memcpy(CMSG_DATA(item), descriptors, descriptorCount * sizeof(int));
  }
  return sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

ssize_t CLinux_eventfd_read(int file, uint64_t *value) {
  struct iovec part = {.iov_base = value, .iov_len = sizeof *value};
  // At -1 it is read(2).
  ssize_t result = preadv2(file, &part, 1, -1, RWF_NOWAIT);
  if (result != -1 || errno != EOPNOTSUPP) return result;
  // Linux before 5.8. What `poll` has just called ready waits only if somebody else was faster.
  struct pollfd ready = {.fd = file, .events = POLLIN};
  if (poll(&ready, 1, 0) == 1) return read(file, value, sizeof *value);
  errno = EAGAIN;
  return -1;
}

int CLinux_accept(int socket) { return accept4(socket, NULL, NULL, SOCK_CLOEXEC); }
