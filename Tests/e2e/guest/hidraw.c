// Sends reports to a HID device and reads its answers, as a program does that talks to an adapter.
//   hidraw find PLACE                prints the node of the device whose physical path begins so, or fails
//   hidraw echo PLACE COUNT FLIGHT   writes COUNT reports of 64 bytes, FLIGHT of them before it reads their answers, and
//                                    compares; prints "echoed COUNT"
#include <fcntl.h>
#include <linux/hidraw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NODES = 32, SIZE = 64, TIMEOUT = 20000 };

static int open_device(const char *place, char *path, size_t size) {
  for (int i = 0; i < NODES; i++) {
    char phys[256] = "";
    snprintf(path, size, "/dev/hidraw%d", i);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (ioctl(fd, HIDIOCGRAWPHYS(sizeof phys), phys) >= 0 && strncmp(phys, place, strlen(place)) == 0) return fd;
    close(fd);
  }
  fprintf(stderr, "hidraw: there is no device at %s\n", place);
  return -1;
}

// Byte 0 is the number of the report, 0 where there is but one kind (Documentation/hid/hidraw.rst).
static void fill(unsigned char *report, int number) {
  report[0] = 0;
  for (int i = 0; i < SIZE; i++) report[1 + i] = (unsigned char)(number * 7 + i * (number | 1));
}

static int echo(int fd, int count, int flight) {
  unsigned char report[1 + SIZE], answer[2 * SIZE];
  for (int first = 0; first < count; first += flight) {
    int end = first + flight < count ? first + flight : count;
    for (int number = first; number < end; number++) {
      fill(report, number);
      if (write(fd, report, sizeof report) == sizeof report) continue;
      perror("hidraw: write");
      return 1;
    }
    for (int number = first; number < end; number++) {
      struct pollfd wait = {.fd = fd, .events = POLLIN};
      ssize_t bytes = poll(&wait, 1, TIMEOUT) == 1 ? read(fd, answer, sizeof answer) : 0;
      fill(report, number);
      if (bytes == SIZE && memcmp(answer, report + 1, SIZE) == 0) continue;
      printf("answer %d: %zd bytes, or other ones\n", number, bytes);
      return 1;
    }
  }
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  if (poll(&wait, 1, 200) != 0) {
    puts("one answer too many");
    return 1;
  }
  printf("echoed %d\n", count);
  return 0;
}

int main(int argc, char **argv) {
  char path[64];
  int finds = argc == 3 && strcmp(argv[1], "find") == 0, echoes = argc == 5 && strcmp(argv[1], "echo") == 0;
  if (!finds && !echoes) {
    fputs("usage: hidraw find PLACE | hidraw echo PLACE COUNT FLIGHT\n", stderr);
    return 2;
  }
  int fd = open_device(argv[2], path, sizeof path);
  if (fd < 0) return 1;
  if (echoes) return echo(fd, atoi(argv[3]), atoi(argv[4]));
  puts(path);
  return 0;
}
