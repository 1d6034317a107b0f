// usbfs-sim: simulated USB devices for unmodified programs on libusb. The command line.
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "message.h"
#include "server.h"
#include "tree.h"

static const char usage[] =
    "usage: usbfs-sim [OPTIONS] [-- COMMAND…]   devices, and a program that sees them; without one until SIGTERM\n"
    "       usbfs-sim run NAME COMMAND…         another program on the devices of NAME\n"
    "       usbfs-sim ctl NAME WORD…            tells the devices of NAME something, prints the answer\n"
    "  --name NAME          (its process id)   how others find it; COMMAND has it in $USBFS_SIM\n"
    "  --devices N          (1)                up to 256\n"
    "  --rate HZ|flood      (0)                reports a second; flood: one whenever a URB is posted\n"
    "  --burst N            (1)                reports that become ready at once\n"
    "  --buffer N           (65536)            reports that wait in a device until a URB is posted; beyond, one is lost\n"
    "  --report-bytes N     (8)                8 to 1024\n"
    "  --spread                                devices take turns instead of being in phase\n"
    "  --cpu N --real-time --spin US (30)      where the timing thread runs, SCHED_FIFO, how long it watches the clock\n"
    "ctl: stats [DEVICES], rate HZ|HZxBURST|flood [DEVICES], buffer N [DEVICES], step N [DEVICES], unplug [DEVICES],\n"
    "     plug [DEVICES], fault FAULT [DEVICES], product ID [DEVICES], quit; DEVICES: all, 3, 0-7\n";

static int fail(const char *what, const char *why) {
  fprintf(stderr, "usbfs-sim: %s%s%s\n", what, why ? ": " : "", why ? why : "");
  return 2;
}

// MARK: run and ctl

static bool preload(void) {
  char path[PATH_MAX], value[PATH_MAX + 64];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length < 0) return false;
  path[length] = 0;
  const char *others = getenv("LD_PRELOAD");
  snprintf(value, sizeof value, "%s%s%s.so libumockdev-preload.so.0", others ? others : "", others ? " " : "", path);
  return setenv("LD_PRELOAD", value, 1) == 0;
}

static int execute(char **command) {
  if (!preload()) return fail("cannot find my own path", strerror(errno));
  execvp(command[0], command);
  return fail(command[0], strerror(errno));
}

static int ask(const char *name, const char *line, char *answer) {
  int connection = message_connect(name);
  if (connection < 0) return fail(name, "no simulated devices of this name");
  if (!message_send(connection, line, -1) || !message_receive(connection, answer, NULL)) return fail(name, "no answer");
  return 0;
}

static int run(char **arguments) {
  static char answer[MESSAGE_LENGTH];
  int status = ask(arguments[0], "folder", answer);
  if (status) return status;
  setenv("UMOCKDEV_DIR", answer, 1);
  setenv("USBFS_SIM", arguments[0], 1);
  return execute(arguments + 1);
}

static int control(char **arguments) {
  static char line[256], answer[MESSAGE_LENGTH];
  size_t length = 0;
  for (char **word = arguments + 1; *word; word++) {
    int more = snprintf(line + length, sizeof line - length, "%s%s", length ? " " : "", *word);
    if ((size_t)more >= sizeof line - length) return fail("ctl", "too many words");
    length += (size_t)more;
  }
  int status = ask(arguments[0], line, answer);
  if (status) return status;
  bool is_error = strncmp(answer, "error", 5) == 0;
  fprintf(is_error ? stderr : stdout, "%s%s\n", is_error ? "usbfs-sim: " : "", answer);
  return is_error;
}

// MARK: the devices

static bool number(const char *text, uint32_t least, uint32_t most, uint32_t *value) {
  char *end;
  unsigned long parsed = strtoul(text, &end, 10);
  if (end == text || *end || parsed < least || parsed > most) return false;
  *value = (uint32_t)parsed;
  return true;
}

enum option_code { NAME = 1, DEVICES, RATE, BURST, BUFFER, REPORT_BYTES, SPREAD, CPU, REAL_TIME, SPIN, HELP };

static const struct option long_options[] = {
    {"name", 1, NULL, NAME},           {"devices", 1, NULL, DEVICES}, {"rate", 1, NULL, RATE},
    {"burst", 1, NULL, BURST},         {"buffer", 1, NULL, BUFFER},   {"report-bytes", 1, NULL, REPORT_BYTES},
    {"spread", 0, NULL, SPREAD},       {"cpu", 1, NULL, CPU},         {"real-time", 0, NULL, REAL_TIME},
    {"spin", 1, NULL, SPIN},           {"help", 0, NULL, HELP},       {NULL, 0, NULL, 0},
};

static bool take_option(int option, struct engine_options *options, const char **name) {
  uint32_t cpu;
  switch (option) {
    case NAME: *name = optarg; return true;
    case DEVICES: return number(optarg, 1, SIM_DEVICES, &options->devices);
    case RATE:
      options->is_flood = strcmp(optarg, "flood") == 0;
      return options->is_flood || number(optarg, 0, 1000000, &options->rate);
    case BURST: return number(optarg, 1, SIM_PENDING, &options->burst);
    case BUFFER: return number(optarg, 0, SIM_PENDING, &options->buffer);
    case REPORT_BYTES: return number(optarg, 8, SIM_PAYLOAD, &options->report_length);
    case SPREAD: return options->is_spread = true;
    case CPU:
      if (!number(optarg, 0, 1023, &cpu)) return false;
      options->cpu = (int32_t)cpu;
      return true;
    case REAL_TIME: return options->is_real_time = true;
    case SPIN: return number(optarg, 0, 10000, &options->spin_us);
    default: return false;
  }
}

/// Signals come through a descriptor; the threads that are started later must not get them either.
static void block_signals(sigset_t *before) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, before);
}

static const char *start_devices(const struct engine_options *options) {
  const char *error = engine_start(options);
  if (error) return error;
  tree_open();
  for (uint32_t i = 0; i < options->devices && !error; i++) error = tree_add(&engine_shared()->devices[i], i);
  return error;
}

static int serve(const struct engine_options *options, const char *name, char **command) {
  sigset_t before;
  block_signals(&before);
  const char *error = start_devices(options);
  if (error) return fail(error, NULL);
  if (!server_listen(name)) return fail(name, errno == EADDRINUSE ? "simulated devices of this name run already" : strerror(errno));
  setenv("USBFS_SIM", name, 1);
  if (!*command) puts("ready");
  fflush(stdout);
  pid_t child = *command ? fork() : 0;
  if (child == 0 && *command) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    _exit(execute(command));
  }
  int status = child < 0 ? fail("fork", strerror(errno)) : server_run(child);
  tree_close();
  return status;
}

int main(int count, char **arguments) {
  struct engine_options options = {
      .devices = 1, .burst = 1, .buffer = SIM_PENDING, .report_length = 8, .cpu = -1, .spin_us = 30};
  char own_name[32];
  const char *name = own_name;
  if (count >= 4 && strcmp(arguments[1], "run") == 0) return run(arguments + 2);
  if (count >= 4 && strcmp(arguments[1], "ctl") == 0) return control(arguments + 2);
  snprintf(own_name, sizeof own_name, "%d", (int)getpid());
  for (int option; (option = getopt_long(count, arguments, "+", long_options, NULL)) != -1;) {
    if (take_option(option, &options, &name)) continue;
    fputs(usage, option == HELP ? stdout : stderr);
    return option == HELP ? 0 : 2;
  }
  return serve(&options, name, arguments + optind);
}
