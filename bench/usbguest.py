"""Just enough of a usb-guest for measuring: hello, interrupt reports counted, bulk requests kept in flight."""

import socket
import struct
import sys

HELLO, DEVICE_CONNECT, ENDPOINT_INFO, START_INTERRUPT_RECEIVING, BULK_PACKET, INTERRUPT_PACKET = 0, 1, 5, 15, 101, 103
BULK = 2  # among the endpoint types
CAPABILITIES = 0x70  # ep_info_max_packet_size, 64bits_ids, 32bits_bulk_length


class Guest:
    """Has the device when it is made."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection, self._bytes = connection, bytearray()
        self.empty = 0  # zero-length packets, as dummy_hcd brings one behind each report of a full packet
        hello = b"bench".ljust(64, b"\0") + struct.pack("<I", CAPABILITIES)
        connection.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)
        self._packet(12)
        kind = None
        while kind != DEVICE_CONNECT:
            kind, body = self._packet(16)
            if kind == ENDPOINT_INFO:
                self._types = body[:32]

    def start_interrupt_receiving(self, endpoint=0x81):
        self._connection.sendall(struct.pack("<IIQB", START_INTERRUPT_RECEIVING, 1, 0, endpoint))

    def reports(self, count):
        """Returns when so many reports with data have come."""
        while count > 0:
            kind, body = self._packet(16)
            if kind == INTERRUPT_PACKET and len(body) > 4:
                count -= 1
            elif kind == INTERRUPT_PACKET:
                self.empty += 1

    def arrived(self):
        """How many reports have come since the last call; does not wait for any."""
        try:
            self._bytes += self._connection.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        count = 0
        while self._holds_packet(16):
            kind, _ = self._packet(16)
            count += kind == INTERRUPT_PACKET
        return count

    def bulk_endpoint(self, is_in):
        """The first bulk endpoint of a direction."""
        first = 16 if is_in else 0
        return self._types.index(BULK, first, first + 16) - first | (0x80 if is_in else 0)

    def bulk(self, endpoint, length, in_flight, count):
        """Makes `count` requests of `length` bytes, so many at a time; OUT ones are of zeros. Returns with the last answer."""
        data = b"" if endpoint & 0x80 else bytes(length)
        header = struct.pack("<BBHIH", endpoint, 0, length & 0xFFFF, 0, length >> 16)
        request = struct.pack("<IIQ", BULK_PACKET, len(header) + len(data), 1) + header + data
        for number in range(-in_flight, count):
            if number >= 0:
                self._answer(length)
            if number + in_flight < count:
                self._connection.sendall(request)

    def _answer(self, length):
        kind, body = self._packet(16)
        _, status, low, _, high = struct.unpack_from("<BBHIH", body)
        if (kind, status, high << 16 | low) != (BULK_PACKET, 0, length):
            sys.exit(f"{sys.argv[0]}: packet {kind} with status {status} and {high << 16 | low} bytes is no answer")

    def _packet(self, header):
        """Takes one packet; its type and what is behind its header."""
        while not self._holds_packet(header):
            more = self._connection.recv(1 << 18)
            if not more:
                sys.exit(f"{sys.argv[0]}: the server closed the connection")
            self._bytes += more
        kind, length = struct.unpack_from("<II", self._bytes)
        body = bytes(self._bytes[header : header + length])
        del self._bytes[: header + length]
        return kind, body

    def _holds_packet(self, header):
        return len(self._bytes) >= header + (
            struct.unpack_from("<II", self._bytes)[1] if len(self._bytes) >= header else 0)
