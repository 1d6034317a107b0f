"""A usb-guest for the tests of the small builds: it sends what it is told to, wrong packets too, and takes packets apart as
far as the tests look into them. Numbers and layouts are those of usbredirproto.h.
"""

import collections
import select
import socket
import struct

(HELLO, DEVICE_CONNECT, DEVICE_DISCONNECT, RESET, INTERFACE_INFO, ENDPOINT_INFO, SET_CONFIGURATION, GET_CONFIGURATION,
 CONFIGURATION_STATUS, SET_ALT_SETTING, GET_ALT_SETTING, ALT_SETTING_STATUS, START_ISO_STREAM, STOP_ISO_STREAM,
 ISO_STREAM_STATUS, START_INTERRUPT_RECEIVING, STOP_INTERRUPT_RECEIVING, INTERRUPT_RECEIVING_STATUS) = range(18)
CANCEL_DATA_PACKET, START_BULK_RECEIVING, STOP_BULK_RECEIVING, BULK_RECEIVING_STATUS = 21, 25, 26, 27
CONTROL_PACKET, BULK_PACKET, ISO_PACKET, INTERRUPT_PACKET, BUFFERED_BULK_PACKET = range(100, 105)

SUCCESS, CANCELLED, INVAL, IOERROR, STALL = range(5)

BULK_STREAMS, MAX_PACKET_SIZE, IDS64, BULK_LENGTH32, ALL = 0x01, 0x10, 0x20, 0x40, 0xFF

# Seconds, generous: it only ends what would never come.
PATIENCE = 60

Packet = collections.namedtuple("Packet", "kind id body")


class Guest:
    """Has the device once it is made, where one is expected; `capabilities` is what its hello offers, None for a hello
    without any word.
    """

    def __init__(self, port, capabilities=ALL, expects_device=True, patience=PATIENCE):
        self._socket = socket.create_connection(("127.0.0.1", port), patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._bytes = bytearray()
        words = b"" if capabilities is None else struct.pack("<I", capabilities)
        self.capabilities = 0
        self.send(HELLO, 0, b"test".ljust(64, b"\0") + words)
        hello = self.packet()
        if hello is None:
            raise AssertionError("the server closed the connection instead of saying hello")
        self.version = hello.body[:64].rstrip(b"\0").decode()
        self.capabilities = struct.unpack_from("<I", hello.body, 64)[0] & (capabilities or 0)
        if not self.capabilities & MAX_PACKET_SIZE:
            self.capabilities &= ~BULK_STREAMS
        self.announcement = {}
        while expects_device and DEVICE_CONNECT not in self.announcement:
            packet = self.packet()
            if packet is None:
                raise AssertionError("the server closed the connection instead of announcing its device")
            self.announcement[packet.kind] = packet.body

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, kind, id, body=b"", length=None):
        """`length` may lie about how much follows."""
        form = "<IIQ" if self.capabilities & IDS64 else "<III"
        self._socket.sendall(struct.pack(form, kind, len(body) if length is None else length, id) + body)

    def has_more(self):
        """Something has been received that is not taken yet."""
        return bool(self._bytes or select.select([self._socket], [], [], 0)[0])

    def packet(self):
        """The next packet; None when the server has closed the connection."""
        header = 16 if self.capabilities & IDS64 else 12
        while True:
            if len(self._bytes) >= header:
                kind, length, id = struct.unpack_from("<IIQ" if header == 16 else "<III", self._bytes)
                if len(self._bytes) >= header + length:
                    body = bytes(self._bytes[header:header + length])
                    del self._bytes[:header + length]
                    return Packet(kind, id, body)
            try:
                more = self._socket.recv(1 << 18)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._bytes += more

    def control(self, id, request_type, request, value=0, index=0, length=0, data=b""):
        """One control transfer; its status and data."""
        endpoint = request_type & 0x80
        self.send(CONTROL_PACKET, id, struct.pack(
            "<BBBBHHH", endpoint, request, request_type, 0, value, index, length or len(data)) + data)
        answer = self.answer(CONTROL_PACKET, id)
        return answer[3], answer[10:]

    def bulk_header(self, endpoint, length):
        header = struct.pack("<BBHI", endpoint, 0, length & 0xFFFF, 0)
        return header + struct.pack("<H", length >> 16) if self.capabilities & BULK_LENGTH32 else header

    def bulk(self, id, endpoint, length=0, data=b""):
        """One bulk transfer; its status, length and data."""
        self.send_bulk(id, endpoint, length, data)
        return self.bulk_answer(id)

    def send_bulk(self, id, endpoint, length=0, data=b""):
        self.send(BULK_PACKET, id, self.bulk_header(endpoint, length or len(data)) + data)

    def bulk_answer(self, id):
        answer = self.answer(BULK_PACKET, id)
        _, status, low, _ = struct.unpack_from("<BBHI", answer)
        if not self.capabilities & BULK_LENGTH32:
            return status, low, answer[8:]
        return status, low | struct.unpack_from("<H", answer, 8)[0] << 16, answer[10:]

    def answer(self, kind, id):
        """The body of the next packet, which has to be this one."""
        packet = self.packet()
        if packet is None:
            raise AssertionError(f"the connection was closed instead of packet {kind} with id {id}")
        if (packet.kind, packet.id) != (kind, id):
            raise AssertionError(f"packet {packet.kind} with id {packet.id} came instead of {kind} with id {id}")
        return packet.body
