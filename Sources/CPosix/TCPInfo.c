#include "TCPInfo.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int posixTCPInfo(int descriptor, struct posixTCPInfo *info) {
  struct tcp_info kernel;
  memset(&kernel, 0, sizeof kernel);
  socklen_t size = sizeof kernel;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &kernel, &size) < 0) return -1;
  info->unacked = kernel.tcpi_unacked;
  info->probes = kernel.tcpi_probes;
  info->notSent = kernel.tcpi_notsent_bytes;
  return 0;
}
