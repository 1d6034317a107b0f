// Watches the keyboards and pointers of a virtual machine, or sets an LED of one of them.
//   evdev watch              prints what every USB input device does, from the moment it appears
//   evdev led PHYS CODE 0|1  writes an LED to the device at this physical path
// A line of `watch` is one of
//   open PHYS VID:PID | TYPE PHYS SEQUENCE CODE VALUE | lost PHYS | gone PHYS
// where TYPE is key (buttons, too), rel, abs or led, with the physical path (usb-0000:00:04.0-1/input0) as the name, because it survives a re-plug and eventN does not.
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NODES = 32 };

static struct {
  int fd;
  unsigned sequence;
  char phys[128];
} devices[NODES];

static const char *const types[EV_CNT] = {[EV_KEY] = "key", [EV_REL] = "rel", [EV_ABS] = "abs", [EV_LED] = "led"};

static int open_node(int number, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/dev/input/event%d", number);
  return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

static void adopt(int number) {
  if (number < 0 || number >= NODES || devices[number].fd >= 0) return;
  int fd = open_node(number, O_RDONLY);
  struct input_id id;
  if (fd < 0) return;
  if (ioctl(fd, EVIOCGID, &id) < 0 || id.bustype != BUS_USB) {
    close(fd);
    return;
  }
  devices[number].fd = fd;
  devices[number].sequence = 0;
  ioctl(fd, EVIOCGPHYS(sizeof devices[number].phys), devices[number].phys);
  printf("open %s %04x:%04x\n", devices[number].phys, id.vendor, id.product);
}

static void drain(int number) {
  const char *phys = devices[number].phys;
  struct input_event events[64];
  ssize_t bytes;
  while ((bytes = read(devices[number].fd, events, sizeof events)) > 0) {
    for (size_t i = 0; i < bytes / sizeof events[0]; i++) {
      const struct input_event *event = &events[i];
      if (event->type < EV_CNT && types[event->type])
        printf("%s %s %u %u %d\n", types[event->type], phys, devices[number].sequence++, event->code, event->value);
      if (event->type == EV_SYN && event->code == SYN_DROPPED) printf("lost %s\n", phys);
    }
  }
  if (bytes < 0 && errno == EAGAIN) return;
  printf("gone %s\n", phys);
  close(devices[number].fd);
  devices[number].fd = -1;
}

static int watch(void) {
  // evdev's own buffer holds some twenty keys: nothing may keep this process from emptying it.
  struct sched_param priority = {.sched_priority = 10};
  sched_setscheduler(0, SCHED_FIFO, &priority);
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 0; i < NODES; i++) devices[i].fd = -1;

  int directory = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify_add_watch(directory, "/dev/input", IN_CREATE) < 0) {
    perror("evdev: /dev/input");
    return 1;
  }
  for (int i = 0; i < NODES; i++) adopt(i);

  for (;;) {
    struct pollfd wait[NODES + 1];
    int numbers[NODES + 1], count = 0;
    for (int i = 0; i < NODES; i++) {
      if (devices[i].fd < 0) continue;
      numbers[count] = i;
      wait[count++] = (struct pollfd){.fd = devices[i].fd, .events = POLLIN};
    }
    wait[count] = (struct pollfd){.fd = directory, .events = POLLIN};
    if (poll(wait, count + 1, -1) < 0) return 1;
    for (int i = 0; i < count; i++)
      if (wait[i].revents) drain(numbers[i]);
    if (wait[count].revents) {
      char names[4096];
      while (read(directory, names, sizeof names) > 0) continue;
      for (int i = 0; i < NODES; i++) adopt(i);
    }
  }
}

static int set_led(const char *phys, int code, int value) {
  for (int i = 0; i < NODES; i++) {
    char found[128] = "";
    int fd = open_node(i, O_WRONLY);
    if (fd < 0) continue;
    ioctl(fd, EVIOCGPHYS(sizeof found), found);
    if (strcmp(found, phys) != 0) {
      close(fd);
      continue;
    }
    struct input_event events[2] = {{.type = EV_LED, .code = code, .value = value}, {.type = EV_SYN}};
    return write(fd, events, sizeof events) == sizeof events ? 0 : 1;
  }
  fprintf(stderr, "evdev: no input device at %s\n", phys);
  return 1;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "watch") == 0) return watch();
  if (argc == 5 && strcmp(argv[1], "led") == 0) return set_led(argv[2], atoi(argv[3]), atoi(argv[4]));
  fputs("usage: evdev watch | evdev led PHYS CODE VALUE\n", stderr);
  return 2;
}
