// Submits bulk transfers to one endpoint of interface 0, all at once, and prints each as it comes back.
//   bulk NODE ENDPOINT LENGTH...    ENDPOINT in hexadecimal; prints "INDEX ok BYTES" or "INDEX ERROR BYTES"
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int failed(const char *what) {
  printf("bulk: %s: %s\n", what, strerror(errno));
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fputs("usage: bulk NODE ENDPOINT LENGTH...\n", stderr);
    return 2;
  }
  // A reader of the output has to see each line when it is true.
  setvbuf(stdout, NULL, _IOLBF, 0);
  int node = open(argv[1], O_RDWR | O_CLOEXEC);
  if (node < 0) return failed(argv[1]);
  unsigned interface = 0;
  if (ioctl(node, USBDEVFS_CLAIMINTERFACE, &interface) < 0) return failed("claim");
  long count = argc - 3;
  struct usbdevfs_urb *transfers = calloc((size_t)count, sizeof *transfers);
  if (transfers == NULL) return failed("memory");
  for (long i = 0; i < count; i++) {
    int length = atoi(argv[3 + i]);
    transfers[i].type = USBDEVFS_URB_TYPE_BULK;
    transfers[i].endpoint = (unsigned char)strtol(argv[2], NULL, 16);
    transfers[i].buffer = calloc(1, (size_t)length);
    transfers[i].buffer_length = length;
    transfers[i].usercontext = (void *)i;
    if (ioctl(node, USBDEVFS_SUBMITURB, &transfers[i]) < 0) return failed("submit");
  }
  for (long i = 0; i < count; i++) {
    struct usbdevfs_urb *done;
    while (ioctl(node, USBDEVFS_REAPURB, &done) < 0)
      if (errno != EINTR) return failed("reap");
    const char *status = done->status == 0 ? "ok" : strerror(-done->status);
    printf("%ld %s %d\n", (long)done->usercontext, status, done->actual_length);
  }
  return 0;
}
