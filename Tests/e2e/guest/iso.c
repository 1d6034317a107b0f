// Packets on the iso endpoints of interface 0, setting 1, of a device, through usbfs; each starts with its number.
//   iso in NODE PACKETS     prints "packets RECEIVED empty COUNT wrong COUNT first NUMBER last NUMBER missing COUNT"
//   iso out NODE PACKETS    then packets with number 0, so that the others do not end in a buffer; prints "wrong COUNT"
// A packet of the device: the number in 4 bytes, then (number + position) modulo 256 in each byte. A wrong one has
// other data, a number that is not above the one before, or a status that is an error.
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { IN = 0x81, OUT = 0x02, LENGTH = 256, PER_URB = 8, URBS = 8, RUN_OUT = 400 };

struct urb {
  struct usbdevfs_urb head;
  struct usbdevfs_iso_packet_desc packets[PER_URB];
  unsigned char data[PER_URB][LENGTH];
};

static uint32_t wanted, begun, received, empty, wrong, first, last, missing;

static void fill(unsigned char *packet, uint32_t number) {
  memcpy(packet, &number, sizeof number);
  for (unsigned i = sizeof number; i < LENGTH; i++) packet[i] = (unsigned char)(number + i);
}

static void check(const unsigned char *packet, unsigned length) {
  if (length == 0) {
    empty++;
    return;
  }
  uint32_t number;
  unsigned char expected[LENGTH];
  memcpy(&number, packet, sizeof number);
  fill(expected, number);
  received++;
  if (length != LENGTH || memcmp(packet, expected, LENGTH) != 0 || (first && number <= last)) {
    wrong++;
    return;
  }
  if (!first)
    first = number;
  else
    missing += number - last - 1;
  last = number;
}

static int submit(int node, struct urb *urb, int endpoint) {
  urb->head = (struct usbdevfs_urb){.type = USBDEVFS_URB_TYPE_ISO,
                                    .endpoint = (unsigned char)endpoint,
                                    .flags = USBDEVFS_URB_ISO_ASAP,
                                    .buffer = urb->data,
                                    .buffer_length = sizeof urb->data,
                                    .number_of_packets = PER_URB};
  for (int i = 0; i < PER_URB; i++) {
    urb->packets[i].length = LENGTH;
    begun++;
    if (endpoint == OUT) fill(urb->data[i], begun <= wanted ? begun : 0);
  }
  return ioctl(node, USBDEVFS_SUBMITURB, urb);
}

static int run(int node, int endpoint) {
  static struct urb urbs[URBS];
  unsigned interface = 0, posted = 0;
  uint32_t all = endpoint == OUT ? wanted + RUN_OUT : wanted;
  struct usbdevfs_setinterface setting = {.interface = 0, .altsetting = 1};
  struct usbdevfs_ioctl disconnect = {.ifno = 0, .ioctl_code = USBDEVFS_DISCONNECT};
  ioctl(node, USBDEVFS_IOCTL, &disconnect);
  if (ioctl(node, USBDEVFS_CLAIMINTERFACE, &interface) < 0 || ioctl(node, USBDEVFS_SETINTERFACE, &setting) < 0)
    return -1;
  for (; posted < URBS; posted++)
    if (submit(node, &urbs[posted], endpoint) < 0) return -1;
  while (posted > 0) {
    struct urb *done;
    if (ioctl(node, USBDEVFS_REAPURB, &done) < 0) return -1;
    posted--;
    for (int i = 0; i < PER_URB; i++) {
      if (done->packets[i].status != 0)
        wrong++;
      else if (endpoint == IN)
        check(done->data[i], done->packets[i].actual_length);
    }
    if (begun >= all) continue;
    if (submit(node, done, endpoint) < 0) return -1;
    posted++;
  }
  setting.altsetting = 0;
  return ioctl(node, USBDEVFS_SETINTERFACE, &setting);
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: iso in|out NODE PACKETS\n", stderr);
    return 2;
  }
  int node = open(argv[2], O_RDWR | O_CLOEXEC), in = strcmp(argv[1], "in") == 0;
  wanted = (uint32_t)atoi(argv[3]);
  if (node < 0 || run(node, in ? IN : OUT) < 0) {
    perror("iso");
    return 1;
  }
  if (in)
    printf("packets %u empty %u wrong %u first %u last %u missing %u\n", received, empty, wrong, first, last, missing);
  else
    printf("wrong %u\n", wrong);
  return 0;
}
