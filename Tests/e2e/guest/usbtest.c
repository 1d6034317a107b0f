// Runs cases of the kernel's usbtest driver (drivers/usb/misc/usbtest.c) on the device that it is bound to.
//   usbtest NODE CASE ITERATIONS LENGTH VARY SGLEN    prints "case N: ok" or "case N: ERROR"
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

// The driver's interface, struct usbtest_param_64 and USBTEST_REQUEST_64.
struct parameters {
  uint32_t test, iterations, length, vary, sglen;
  int64_t seconds, microseconds;
};
#define REQUEST _IOWR('U', 100, struct parameters)

int main(int argc, char **argv) {
  if (argc != 7) {
    fputs("usage: usbtest NODE CASE ITERATIONS LENGTH VARY SGLEN\n", stderr);
    return 2;
  }
  int node = open(argv[1], O_RDWR | O_CLOEXEC);
  if (node < 0) {
    perror(argv[1]);
    return 1;
  }
  struct parameters values = {.test = (uint32_t)atoi(argv[2]),
                              .iterations = (uint32_t)atoi(argv[3]),
                              .length = (uint32_t)atoi(argv[4]),
                              .vary = (uint32_t)atoi(argv[5]),
                              .sglen = (uint32_t)atoi(argv[6])};
  struct usbdevfs_ioctl call = {.ifno = 0, .ioctl_code = (int)REQUEST, .data = &values};
  int failed = ioctl(node, USBDEVFS_IOCTL, &call) < 0;
  printf("case %s: %s\n", argv[2], failed ? strerror(errno) : "ok");
  return failed;
}
