"""A USB device with iso endpoints, for machine A: gadgets have none, since dummy_hcd carries none. It lives in this
process and QEMU's usb-redir plugs it into A, so that A's kernel has it on a qemu-xhci like any other device.

    this process: IsoDevice ◀── unix socket ── QEMU usb-redir ─▶ qemu-xhci ─▶ kernel of A

High speed; interface 0, setting 1: an endpoint each way, a packet each millisecond. An IN packet starts with its
number, counted from 1 since the stream was started; so does an OUT packet, and its number is noted.
"""

import select
import socket
import struct
import threading
import time

from steps import wait_until

# What the kernel's usbtest driver takes for an iso source and sink; with an id of its own, since the driver keeps the
# setting that it chose per id.
VENDOR, PRODUCT = 0x0525, 0xA4A3
DEVICE_ID = f"{VENDOR:04x}:{PRODUCT:04x}"
PACKET = 256
IN, OUT = 0x81, 0x02

(HELLO, DEVICE_CONNECT, DEVICE_DISCONNECT, RESET, INTERFACE_INFO, EP_INFO, SET_CONFIGURATION, GET_CONFIGURATION,
 CONFIGURATION_STATUS, SET_ALT_SETTING, GET_ALT_SETTING, ALT_SETTING_STATUS, START_ISO, STOP_ISO,
 ISO_STATUS) = range(15)
CONTROL, ISO = 100, 102
# connect_device_version, ep_info_max_packet_size, 64bits_ids, 32bits_bulk_length: what QEMU's xhci asks for.
CAPABILITIES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6
SUCCESS, STALL = 0, 4
HIGH_SPEED = 2
UNUSED, ISO_TYPE, CONTROL_TYPE = 255, 1, 0

GET_DESCRIPTOR = 0x80, 6
DEVICE, CONFIGURATION, STRING = 1, 2, 3


def descriptors(serial):
    """What GET_DESCRIPTOR answers, by type and index."""
    def endpoint(address):
        # Every 8 microframes.
        return struct.pack("<BBBBHB", 7, 5, address, 1, PACKET, 4)

    def interface(setting, endpoints):
        return struct.pack("<9B", 9, 4, 0, setting, len(endpoints), 255, 0, 0, 0) + b"".join(endpoints)

    interfaces = interface(0, []) + interface(1, [endpoint(IN), endpoint(OUT)])
    return {
        (DEVICE, 0): struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, VENDOR, PRODUCT, 0x100, 0, 0, 1, 1),
        (CONFIGURATION, 0): struct.pack("<BBHBBBBB", 9, 2, 9 + len(interfaces), 1, 1, 0, 0x80, 50) + interfaces,
        (STRING, 0): struct.pack("<BBH", 4, 3, 0x409),
        (STRING, 1): struct.pack("<BB", 2 + 2 * len(serial), 3) + serial.encode("utf-16-le")}


class IsoDevice:
    def __init__(self, path, serial):
        self._descriptors = descriptors(serial)
        self._configuration = self._setting = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection = None
        # When the IN stream started, and how many of its packets were sent.
        self._start, self._sent = None, 0
        self._received = []
        # Whether it is plugged in, and whether it should be: only its own thread writes to the connection.
        self._plugged = self._wanted = False
        self._failure = None
        self.arguments = [
            "-device", "qemu-xhci,id=iso", "-chardev", f"socket,id=iso,path={path}",
            "-device", "usb-redir,bus=iso.0,chardev=iso"]
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def take_received(self):
        """Numbers of the OUT packets since the last call, without the packets that have none."""
        if self._failure:
            raise AssertionError(f"the iso device failed: {self._failure!r}")
        taken, self._received = self._received, []
        return [number for number in taken if number != 0]

    def wait_streaming(self):
        """Waits until some packets have left on the IN stream."""
        wait_until(lambda: self._start is not None and self._sent > 200, 60, "the device streams")

    def plug(self):
        self._wanted = True

    def unplug(self):
        self._wanted = False

    def _live(self):
        try:
            self._connection, _ = self._listener.accept()
            self._send(HELLO, struct.pack("<64sI", b"iso device", CAPABILITIES), hello=True)
            self._take(12 + 68)
            self._wanted = True
            while True:
                kind, length, packet_id = struct.unpack("<IIQ", self._take(16))
                self._receive(kind, packet_id, self._take(length))
        except (ConnectionError, EOFError):
            pass  # A has ended.
        except Exception as error:  # Whatever it was, the scenario has to hear of it.
            self._failure = error

    def _receive(self, kind, packet_id, body):
        if kind == CONTROL:
            self._control(packet_id, body)
        elif kind in (SET_CONFIGURATION, GET_CONFIGURATION):
            if kind == SET_CONFIGURATION:
                self._configuration, self._setting = body[0], 0
                self._infos()
            self._send(CONFIGURATION_STATUS, bytes([SUCCESS, self._configuration]), packet_id)
        elif kind in (SET_ALT_SETTING, GET_ALT_SETTING):
            if kind == SET_ALT_SETTING:
                self._setting = body[1]
                self._infos()
            self._send(ALT_SETTING_STATUS, bytes([SUCCESS, 0, self._setting]), packet_id)
        elif kind == RESET:
            self._start = None
        elif kind == START_ISO:
            if body[0] == IN:
                self._start, self._sent = time.monotonic(), 0
            self._send(ISO_STATUS, bytes([SUCCESS, body[0]]), packet_id)
        elif kind == STOP_ISO:
            if body[0] == IN:
                self._start = None
            self._send(ISO_STATUS, bytes([SUCCESS, body[0]]), packet_id)
        elif kind == ISO:
            self._received.append(struct.unpack_from("<I", body, 4)[0] if len(body) >= 8 else 0)

    def _control(self, packet_id, body):
        endpoint, request, request_type, _, value, index, length = struct.unpack_from("<BBBBHHH", body)
        answer = None
        if (request_type, request) == GET_DESCRIPTOR:
            answer = self._descriptors.get((value >> 8, value & 255))
        status = STALL if answer is None else SUCCESS
        answer = (answer or b"")[:length]
        header = struct.pack("<BBBBHHH", endpoint, request, request_type, status, value, index, len(answer))
        self._send(CONTROL, header + answer, packet_id)

    def _infos(self):
        types, intervals, sizes = [UNUSED] * 32, [0] * 32, [0] * 32
        types[0] = types[16] = CONTROL_TYPE
        sizes[0] = sizes[16] = 64
        if self._setting == 1:
            for slot in (OUT, 16 + (IN & 15)):
                types[slot], intervals[slot], sizes[slot] = ISO_TYPE, 4, PACKET
        self._send(EP_INFO, struct.pack("<32B32B32B32H", *types, *intervals, *[0] * 32, *sizes))
        count = 1 if self._configuration else 0
        self._send(INTERFACE_INFO, struct.pack("<I32B32B32B32B", count, *[0] * 32, *[255] * 32, *[0] * 64))

    def _send(self, kind, body, packet_id=0, hello=False):
        self._connection.sendall(struct.pack("<III" if hello else "<IIQ", kind, len(body), packet_id) + body)

    def _take(self, count):
        """So many bytes of the guest. Meanwhile the device comes and goes, and packets of the IN stream leave."""
        taken = b""
        while len(taken) < count:
            if select.select([self._connection], [], [], 0.005)[0]:
                received = self._connection.recv(count - len(taken))
                if not received:
                    raise EOFError
                taken += received
            self._act()
        return taken

    def _act(self):
        if self._wanted and not self._plugged:
            self._configuration = self._setting = 0
            self._infos()
            self._send(DEVICE_CONNECT, struct.pack("<BBBBHHH", HIGH_SPEED, 0, 0, 0, VENDOR, PRODUCT, 0x100))
        elif self._plugged and not self._wanted:
            self._start = None
            self._send(DEVICE_DISCONNECT, b"")
        self._plugged = self._wanted
        if self._start is None:
            return
        due = int((time.monotonic() - self._start) * 1000)
        while self._sent < due:
            self._sent += 1
            body = struct.pack("<I", self._sent) + bytes((self._sent + i) & 255 for i in range(4, PACKET))
            self._send(ISO, struct.pack("<BBH", IN, SUCCESS, PACKET) + body, self._sent - 1)
