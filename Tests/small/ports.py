"""Ports of the loopback that nobody has, and that no other test is given for a while."""

import collections
import contextlib
import errno
import socket

# As many as may be in use before their servers have bound them, and more.
_reserved = collections.deque(maxlen=256)


def free_port():
    return free_ports(1)[0]


def free_ports(count):
    """All are held until all are found: one that is free again may be given out again."""
    ports = []
    with contextlib.ExitStack() as stack:
        while len(ports) < count:
            held = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = held.getsockname()[1]
            if _reserve(port):
                ports.append(port)
    return ports


def _reserve(port):
    """False when another process's test has it. The reservation ends with this process, if not before."""
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0usbredir-evloop-port-{port}")
    except OSError as error:
        reservation.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    _reserved.append(reservation)
    return True
