#define _GNU_SOURCE
#include "CLinux.h"

#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(CLinux_RESOLVE_BENEATH == RESOLVE_BENEATH, "openat2 resolve flags");
_Static_assert(CLinux_RESOLVE_NO_SYMLINKS == RESOLVE_NO_SYMLINKS, "openat2 resolve flags");
_Static_assert(CLinux_RESOLVE_NO_MAGICLINKS == RESOLVE_NO_MAGICLINKS, "openat2 resolve flags");

int CLinux_openat2(int directory, const char *path, uint64_t flags, uint64_t mode,
                   uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}
