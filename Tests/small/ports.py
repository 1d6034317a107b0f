"""Ports of the loopback that nobody has."""

import contextlib
import socket


def free_port():
    return free_ports(1)[0]


def free_ports(count):
    """All at once: one that is free again may be given out again."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
