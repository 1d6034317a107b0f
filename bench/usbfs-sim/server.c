// One poll loop. A connection that ends closes the files that were opened over it.
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "engine.h"
#include "message.h"

enum { CONNECTIONS = 1024, LISTENER = 0, SIGNALS = 1, FIRST_CONNECTION = 2, NOBODY = -1 };

static struct pollfd watched[CONNECTIONS];
static int watched_count;
static int owners[SIM_DEVICES][SIM_FILES];  // Which connection a file belongs to.
static bool is_ending;

static void watch(int descriptor) { watched[watched_count++] = (struct pollfd){.fd = descriptor, .events = POLLIN}; }

bool server_listen(const char *name) {
  int listener = message_listen(name);
  if (listener < 0) return false;
  memset(owners, 0xff, sizeof owners);
  watch(listener);
  return true;
}

// MARK: one message

static void open_file(int connection, uint32_t bus, uint32_t address, int descriptor, char *answer) {
  uint32_t index;
  int file = descriptor < 0 ? -EINVAL : engine_open(bus, address, descriptor, &index);
  if (file < 0) {
    if (descriptor >= 0) close(descriptor);
    sprintf(answer, "error %d", -file);
    return;
  }
  owners[index][file] = connection;
  sprintf(answer, "file %u %d", index, file);
}

static void close_file(uint32_t index, int file) {
  owners[index][file] = NOBODY;
  engine_close(index, file);
}

static void close_all(int connection) {
  for (uint32_t i = 0; i < engine_shared()->device_count; i++) {
    for (int f = 0; f < SIM_FILES; f++) {
      if (owners[i][f] == connection) close_file(i, f);
    }
  }
}

static bool serve(int connection) {
  static char line[MESSAGE_LENGTH], answer[MESSAGE_LENGTH];
  int descriptor = -1;
  uint32_t a, b;
  if (!message_receive(connection, line, &descriptor)) return false;
  if (strcmp(line, "memory") == 0) return message_send(connection, "memory", engine_memory());
  if (sscanf(line, "open %u %u", &a, &b) == 2) {
    open_file(connection, a, b, descriptor, answer);
  } else if (sscanf(line, "close %u %u", &a, &b) == 2 && a < SIM_DEVICES && b < SIM_FILES && owners[a][b] == connection) {
    close_file(a, (int)b);
    strcpy(answer, "ok");
  } else if (!command_run(line, answer, sizeof answer)) {
    is_ending = true;
  }
  return message_send(connection, answer, -1);
}

static void serve_ready(void) {
  for (int i = FIRST_CONNECTION; i < watched_count; i++) {
    if (!watched[i].revents || serve(watched[i].fd)) continue;
    close_all(watched[i].fd);
    close(watched[i].fd);
    watched[i--] = watched[--watched_count];
  }
}

// MARK: the loop

static void accept_connection(void) {
  int connection = accept4(watched[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) return;
  if (watched_count == CONNECTIONS) close(connection);
  else watch(connection);
}

static void watch_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  watch(signalfd(-1, &set, SFD_CLOEXEC));
}

/// The child's exit status as a shell tells it, or -1 while it runs.
static int child_status(pid_t child) {
  int status;
  if (child == 0 || waitpid(child, &status, WNOHANG) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// SIGTERM and SIGINT end the child first, and us with it.
static int take_signal(pid_t child) {
  struct signalfd_siginfo info;
  if (read(watched[SIGNALS].fd, &info, sizeof info) != sizeof info) return -1;
  if (info.ssi_signo == SIGCHLD) return child_status(child);
  if (child == 0) is_ending = true;
  else kill(child, (int)info.ssi_signo);
  return -1;
}

int server_run(pid_t child) {
  int status = -1;
  watch_signals();
  status = child_status(child);
  while (status < 0 && !is_ending) {
    if (poll(watched, (nfds_t)watched_count, -1) < 0) continue;
    if (watched[SIGNALS].revents) status = take_signal(child);
    serve_ready();
    if (watched[LISTENER].revents) accept_connection();
  }
  return status < 0 ? 0 : status;
}
