#define _GNU_SOURCE
#include "CLinuxVirtio.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

// Guards are never freed, only used again: the handler may walk the list at any time, on any thread.
struct CLinux_guard {
  // 0 while the guard is free. Set last and cleared first.
  _Atomic(uintptr_t) start;
  _Atomic(size_t) length;
  _Atomic(size_t) page;
  _Atomic(int) tripped;
  // Set once, before the guard is in the list.
  struct CLinux_guard *next;
};

static _Atomic(struct CLinux_guard *) guards;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static struct sigaction former;

// Async-signal-safe: atomics that need no lock, and mmap, which is a bare system call.
static int replacePage(uintptr_t address) {
  for (struct CLinux_guard *guard = atomic_load(&guards); guard; guard = guard->next) {
    uintptr_t start = atomic_load(&guard->start);
    if (start == 0 || address < start || address - start >= atomic_load(&guard->length)) continue;
    size_t page = atomic_load(&guard->page);
    // Counted from the start, which pages are aligned to: never a byte outside of the mapping.
    void *place = (void *)(start + ((address - start) & ~(page - 1)));
    // Before the page is there for other threads to go on with.
    atomic_store(&guard->tripped, 1);
    return mmap(place, page, PROT_READ | PROT_WRITE,
                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
  }
  return 0;
}

static void onBusError(int number, siginfo_t *info, void *context) {
  int saved = errno;
  int isDone = info->si_code > 0 && replacePage((uintptr_t)info->si_addr);
  errno = saved;
  // The access is tried again when we return, and succeeds.
  if (isDone) return;
  if (former.sa_flags & SA_SIGINFO) {
    former.sa_sigaction(number, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(number);
  } else {
    // Not ours: it ends the process as if we were not there.
    signal(number, SIG_DFL);
    if (info->si_code <= 0) raise(number);
  }
}

static void install(void) {
  struct sigaction action = {.sa_sigaction = onBusError, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &former);
}

struct CLinux_guard *CLinux_guard_begin(void *mapping, size_t length, size_t page) {
  pthread_once(&installed, install);
  pthread_mutex_lock(&lock);
  struct CLinux_guard *guard = atomic_load(&guards);
  while (guard && atomic_load(&guard->start) != 0) guard = guard->next;
  if (!guard) {
    guard = calloc(1, sizeof *guard);
    if (guard) {
      guard->next = atomic_load(&guards);
      atomic_store(&guards, guard);
    }
  }
  if (guard) {
    atomic_store(&guard->length, length);
    atomic_store(&guard->page, page);
    atomic_store(&guard->tripped, 0);
    atomic_store(&guard->start, (uintptr_t)mapping);
  }
  pthread_mutex_unlock(&lock);
  return guard;
}

void CLinux_guard_end(struct CLinux_guard *guard) { atomic_store(&guard->start, 0); }

int CLinux_guard_tripped(const struct CLinux_guard *guard) {
  return atomic_load_explicit(&guard->tripped, memory_order_relaxed);
}
