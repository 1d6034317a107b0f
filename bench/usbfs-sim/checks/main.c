// Proves the simulation, from within: a program on simulated devices that looks at them through usbfs's ioctls and through libusb.
// Exit status 0 when all holds, otherwise each line says what does not.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../message.h"
#include "checks.h"

static int failures;

bool checks_that(bool condition, const char *text, const char *file, int line) {
  if (condition) return true;
  failures++;
  printf("%s:%d: does not hold: %s\n", strrchr(file, '/') + 1, line, text);
  fflush(stdout);
  return false;
}

const char *engine_told(const char *line) {
  static char answer[MESSAGE_LENGTH];
  static int connection = -1;
  if (connection < 0) connection = message_connect(getenv("USBFS_SIM"));
  if (!message_send(connection, line, -1) || !message_receive(connection, answer, NULL)) {
    puts("the engine does not answer");
    exit(1);
  }
  return answer;
}

uint64_t counter(const char *name) {
  char key[64];
  unsigned long long value = 0;
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *total = strstr(engine_told("stats"), "\"total\"");
  const char *place = total ? strstr(total, key) : NULL;
  if (!CHECK(place && sscanf(place + strlen(key), "%llu", &value) == 1)) printf("no counter %s\n", name);
  return value;
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "hold") == 0) hold_device();
  setvbuf(stdout, NULL, _IOLBF, 0);
  // In an order in which what is used was checked before; so the first that fails ends it.
  void (*const checks[])(void) = {check_readiness,      check_queue, check_windows, check_interfaces,
                                  check_killed_program, check_loops, check_unplug,  check_hotplug};
  for (size_t i = 0; i < sizeof checks / sizeof checks[0] && failures == 0; i++) checks[i]();
  return failures > 0;
}
