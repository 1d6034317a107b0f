"""Just enough of a usb-guest to take interrupt reports: hello, start interrupt receiving, count the packets."""

import socket
import struct
import sys

HELLO, DEVICE_CONNECT, START_INTERRUPT_RECEIVING, INTERRUPT_PACKET = 0, 1, 15, 103
CAPABILITIES = 0x30  # ep_info_max_packet_size, 64bits_ids


class Guest:
    def __init__(self, connection, endpoint=0x81):
        self._connection, self._bytes = connection, b""
        self.empty = 0  # zero-length packets, as dummy_hcd brings one behind each report of a full packet
        hello = b"bench".ljust(64, b"\0") + struct.pack("<I", CAPABILITIES)
        connection.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)
        self._packet(12)
        while self._packet(16)[0] != DEVICE_CONNECT:
            pass
        connection.sendall(struct.pack("<IIQB", START_INTERRUPT_RECEIVING, 1, 0, endpoint))

    def reports(self, count):
        """Returns when so many reports with data have come."""
        while count > 0:
            kind, length = self._packet(16)
            if kind == INTERRUPT_PACKET and length > 4:
                count -= 1
            elif kind == INTERRUPT_PACKET:
                self.empty += 1

    def _packet(self, header):
        """Takes one packet; its type and length."""
        while True:
            if len(self._bytes) >= header:
                kind, length = struct.unpack_from("<II", self._bytes)
                if len(self._bytes) >= header + length:
                    self._bytes = self._bytes[header + length :]
                    return kind, length
            more = self._connection.recv(65536)
            if not more:
                sys.exit(f"{sys.argv[0]}: the server closed the connection")
            self._bytes += more
