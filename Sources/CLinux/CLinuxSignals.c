#define _GNU_SOURCE
#include "CLinuxSignals.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int reportPipe = -1;
static atomic_int isFaultReported;
static atomic_int isFaultHandled;
static struct sigaction formerActions[NSIG];

void CLinux_report_signals_to(int pipe) { reportPipe = pipe; }

static void report(unsigned char byte) {
  // The pipe does not block: what finds it full is one of very many.
  ssize_t count = write(reportPipe, &byte, 1);
  (void)count;
}

static void handleSignal(int signal) {
  int saved = errno;
  report((unsigned char)signal);
  errno = saved;
}

static void handleFault(int signal) {
  if (!atomic_exchange(&isFaultReported, 1)) report((unsigned char)(signal | 0x80));
  for (int waited = 0; waited < CLinux_fault_patience && !atomic_load(&isFaultHandled); waited += 20)
    poll(NULL, 0, 20);
  sigaction(signal, &formerActions[signal], NULL);
  // Blocked until this handler returns; for a signal that somebody sent, nothing else would repeat it.
  raise(signal);
}

int CLinux_catch_signal(int signal) {
  struct sigaction action = {.sa_handler = handleSignal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, NULL) == 0;
}

int CLinux_catch_fault(int signal) {
  struct sigaction action = {.sa_handler = handleFault, .sa_flags = SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, &formerActions[signal]) == 0;
}

void CLinux_fault_handled(void) { atomic_store(&isFaultHandled, 1); }

static void doNothing(int signal) { (void)signal; }

void CLinux_disarm_signal(int signal) {
  // Not SIG_IGN, which programs that we start would inherit.
  struct sigaction action = {.sa_handler = doNothing, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, NULL);
}

int CLinux_disposition(int signal) {
  struct sigaction action;
  if (sigaction(signal, NULL, &action) != 0) return CLinux_disposition_caught;
  if (action.sa_handler == SIG_DFL) return CLinux_disposition_default;
  return action.sa_handler == SIG_IGN ? CLinux_disposition_ignored : CLinux_disposition_caught;
}

int CLinux_refuse_call(long number, int error) {
#if defined(__x86_64__)
  enum { architecture = AUDIT_ARCH_X86_64 };
#elif defined(__aarch64__)
  enum { architecture = AUDIT_ARCH_AARCH64 };
#else
  (void)number;
  (void)error;
  errno = ENOSYS;
  return -1;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return 0;
  // Those who are not root have to give up setuid programs for it.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
#endif
}
