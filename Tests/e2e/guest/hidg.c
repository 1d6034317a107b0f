// The keys and the LEDs of a HID gadget, seen from inside the device (/dev/hidgN).
//   hidg type NODE  reads HID usages in hex from stdin, one a line, and presses and releases each key
//   hidg leds NODE  prints every output report (the LED bits, in hex) until the device goes away
// A write to the node sleeps until the usb-host has taken the report before, so `type` never outruns it.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int report(int fd, unsigned char usage) {
  unsigned char keys[8] = {0, 0, usage};
  if (write(fd, keys, sizeof keys) == sizeof keys) return 0;
  perror("hidg: write");
  return 1;
}

static int type(int fd) {
  unsigned usage, count = 0;
  while (scanf("%x", &usage) == 1) {
    if (report(fd, usage) || report(fd, 0)) return 1;
    count++;
  }
  printf("typed %u\n", count);
  return 0;
}

static int leds(int fd) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  unsigned char bits[64];
  while (read(fd, bits, sizeof bits) > 0) printf("leds %02x\n", bits[0]);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3) {
    int fd = open(argv[2], O_RDWR | O_CLOEXEC);
    if (fd < 0) {
      perror(argv[2]);
      return 1;
    }
    if (strcmp(argv[1], "type") == 0) return type(fd);
    if (strcmp(argv[1], "leds") == 0) return leds(fd);
  }
  fputs("usage: hidg type NODE | hidg leds NODE\n", stderr);
  return 2;
}
