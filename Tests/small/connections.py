"""Connections of a usb-guest, bare: how they are opened without a word, greeted, and left in each way."""

import contextlib
import socket
import struct

PATIENCE = 60
# Bytes of a hello with its capabilities.
HELLO_LENGTH = 12 + 64 + 4


def silent(port):
    """A connection that says nothing."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE)


def greet(connection):
    """Sends a hello, and does not wait for the server's."""
    header = struct.pack("<III", 0, HELLO_LENGTH - 12, 0)
    connection.sendall(header + b"test".ljust(64, b"\0") + struct.pack("<I", 0x70))


def finish(connection):
    """Closes it with FIN, also while data waits that was not read: a plain close would send RST then."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def reset(connection):
    """Closes it with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(connection):
    """FIN, and the guest still reads."""
    connection.shutdown(socket.SHUT_WR)


WAYS = {"RST": reset, "FIN": finish, "half-closed": half_close}


def until_closed(connection):
    """The last that was received before the end of the connection: nothing, if the end was the first."""
    last = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 18):
            last = data
    return last
