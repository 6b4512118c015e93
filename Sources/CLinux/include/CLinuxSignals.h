// Signal handlers, which may run at any point of any thread, and what else has to work before Swift's
// runtime can have threads.
#ifndef CLINUX_SIGNALS_H
#define CLINUX_SIGNALS_H

#include <sys/syscall.h>

// signal(7): a byte with the signal's number goes into `pipe` whenever a signal comes that was caught
// below. To be called before the first is caught, and once.
void CLinux_report_signals_to(int pipe);

// Catches a signal that somebody sends. False if its disposition cannot be changed.
int CLinux_catch_signal(int signal);

// Catches a signal that a fault raises. Its byte has the highest bit set; the thread that it came to waits
// up to `CLinux_fault_patience` milliseconds for `CLinux_fault_handled`, and then the signal does what it
// did before.
#define CLinux_fault_patience 3000
int CLinux_catch_fault(int signal);
void CLinux_fault_handled(void);

// Makes a signal do nothing here, and what it does by default in programs that we start.
void CLinux_disarm_signal(int signal);

// What a signal does now.
enum { CLinux_disposition_default, CLinux_disposition_ignored, CLinux_disposition_caught };
int CLinux_disposition(int signal);

// seccomp(2): makes a system call fail from now on, in this thread, in those that it starts and in programs.
// Among filters that answer with an error, the one that was installed last says which. Returns 0, or -1 with
// errno.
int CLinux_refuse_call(long number, int error);

// syscall(2)
static const long CLinux_SYS_clone3 = SYS_clone3;
static const long CLinux_SYS_copy_file_range = SYS_copy_file_range;
static const long CLinux_SYS_renameat2 = SYS_renameat2;
static const long CLinux_SYS_sendfile = SYS_sendfile;
static const long CLinux_SYS_statx = SYS_statx;

#endif
