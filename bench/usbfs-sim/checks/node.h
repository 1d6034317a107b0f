// A device node as a program without libusb has it.
#ifndef USBFS_SIM_NODE_H
#define USBFS_SIM_NODE_H

#include <linux/usbdevice_fs.h>
#include <stdbool.h>

enum { NODE_URBS = 8 };

struct node {
  int descriptor;
  struct usbdevfs_urb urbs[NODE_URBS];
  unsigned char data[NODE_URBS][64];
};

/// Opens the node and claims the interface of its interrupt endpoints.
void node_open(struct node *node, const char *path);
void node_close(struct node *node);
/// Submits a URB of the interrupt IN endpoint; 0 or an errno.
int node_submit(struct node *node, int index);
int node_discard(struct node *node, int index);
/// The index of a reaped URB, or a negative errno.
int node_reap(struct node *node);
/// The sequence number in a URB's report.
int node_sequence(const struct node *node, int index);

/// What poll, select and epoll (level and edge) say about POLLOUT now, or within `milliseconds`: all the same, or the check fails.
bool node_is_ready(const struct node *node, int milliseconds);

#endif
