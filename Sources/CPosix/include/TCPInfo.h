// What TCP_INFO says that the transport's rules need. A header of its own: <linux/tcp.h>, which has the newer
// fields, and <netinet/tcp.h>, which has the options, cannot be included together.
#ifndef TCPINFO_H
#define TCPINFO_H

#include <stdint.h>

struct posixTCPInfo {
  uint32_t unacked;  // segments sent and not yet acknowledged
  uint32_t probes;   // window probes without an answer
  uint32_t notSent;  // bytes queued and not yet sent
};

/// Fills `info` for a TCP socket; 0, or -1 with errno (any other kind of socket). tcp(7).
int posixTCPInfo(int descriptor, struct posixTCPInfo *info);

#endif
