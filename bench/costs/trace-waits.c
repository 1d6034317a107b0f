// Counts another process's system calls, and holds it where it is about to wait for events, so that whoever measures decides what
// there will be to find.
//   trace-waits PID
// At each epoll_wait of the main thread: writes a line with the number of system calls so far, the wait included, and goes on when a line
// comes in. Ends, and lets the process run free, with its input. Calls of every thread count.
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

static unsigned long calls;

static int fail(const char *what) {
  fprintf(stderr, "trace-waits: %s: %s\n", what, strerror(errno));
  return 1;
}

static bool seize(pid_t thread) {
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE;
  return ptrace(PTRACE_SEIZE, thread, NULL, options) == 0 && ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0;
}

/// Threads but the first may be about to end: then there is nothing to count.
static bool seize_or_is_gone(pid_t thread, pid_t process) {
  return seize(thread) || (thread != process && (errno == ESRCH || errno == EPERM));
}

static bool seize_all(pid_t process) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", process);
  DIR *folder = opendir(path);
  bool is_seized = folder != NULL;
  struct dirent *entry;
  while (is_seized && (entry = readdir(folder))) {
    if (entry->d_name[0] != '.') is_seized = seize_or_is_gone(atoi(entry->d_name), process);
  }
  if (folder) closedir(folder);
  return is_seized;
}

static bool is_wait(unsigned long number) {
#ifdef SYS_epoll_wait
  if (number == SYS_epoll_wait) return true;
#endif
  return number == SYS_epoll_pwait || number == SYS_epoll_pwait2;
}

/// False when nobody wants to know more.
static bool ask(void) {
  char line[16];
  printf("%lu\n", calls);
  fflush(stdout);
  return fgets(line, sizeof line, stdin) != NULL;
}

/// Counts the call that a thread has stopped at the entry of. False when the measurement is over.
static bool entered(pid_t thread, pid_t process) {
  struct __ptrace_syscall_info info;
  if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) <= 0) return true;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return true;
  calls++;
  return thread != process || !is_wait(info.entry.nr) || ask();
}

/// The signal that a stopped thread has to be given.
static int signal_of(int status) {
  int number = WSTOPSIG(status);
  return status >> 16 || number == SIGTRAP || number == (SIGTRAP | 0x80) ? 0 : number;
}

int main(int count, char **arguments) {
  pid_t process = count == 2 ? atoi(arguments[1]) : 0;
  if (process <= 0) {
    fputs("usage: trace-waits PID\n", stderr);
    return 2;
  }
  if (!seize_all(process)) return fail("cannot trace the process");
  for (;;) {
    int status;
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) return fail("the process is gone");
    if (!WIFSTOPPED(status)) continue;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80) && !entered(thread, process)) return 0;
    ptrace(PTRACE_SYSCALL, thread, NULL, (long)signal_of(status));
  }
}
