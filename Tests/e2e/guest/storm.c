// Connections to a usbredir server in this machine, one behind the other, none of which stays:
//   storm PORT COUNT
// Every other one says hello, half of them are reset instead of closed, and every 50th waits until the server has
// answered. Prints how many were answered.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connected(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) {
    perror("storm: connect");
    exit(1);
  }
  return fd;
}

// A usbredir hello: type 0, 68 bytes, id 0; a version; ep_info_max_packet_size, 64bits_ids and 32bits_bulk_length.
static void greet(int fd) {
  unsigned char hello[12 + 64 + 4] = {[4] = 64 + 4, [12] = 's', [12 + 64] = 0x70};
  // One that was refused in the meantime has no reader.
  (void)!send(fd, hello, sizeof hello, MSG_NOSIGNAL);
}

static int come_and_go(int port, int number) {
  int fd = connected(port), answered = 0;
  if (number % 2) greet(fd);
  if (number % 50 == 1) {
    char byte;
    answered = read(fd, &byte, 1) == 1;
  }
  if (number % 4 < 2) {
    struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  close(fd);
  return answered;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: storm PORT COUNT\n", stderr);
    return 2;
  }
  int answered = 0;
  for (int number = 0; number < atoi(argv[2]); number++) answered += come_and_go(atoi(argv[1]), number);
  printf("%d\n", answered);
  return 0;
}
