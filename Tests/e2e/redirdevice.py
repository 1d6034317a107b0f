"""A USB device of the laboratory's own: a usbredir usb-host in this process, which a machine's QEMU plugs into the machine
by its usb-redir, so that the kernel there has it on an xHCI controller like any other.

    this process: RedirDevice ◀── unix socket ── QEMU usb-redir ─▶ qemu-xhci ─▶ kernel of the machine

High speed, one interface. What its endpoints do is a subclass's business.
"""

import collections
import select
import socket
import struct
import threading

(HELLO, DEVICE_CONNECT, DEVICE_DISCONNECT, RESET, INTERFACE_INFO, EP_INFO, SET_CONFIGURATION, GET_CONFIGURATION,
 CONFIGURATION_STATUS, SET_ALT_SETTING, GET_ALT_SETTING, ALT_SETTING_STATUS, START_ISO, STOP_ISO,
 ISO_STATUS) = range(15)
CANCEL_DATA_PACKET, DEVICE_DISCONNECT_ACK = 21, 24
CONTROL, BULK, ISO = 100, 101, 102
# connect_device_version, device_disconnect_ack, ep_info_max_packet_size, 64bits_ids, 32bits_bulk_length: what QEMU's
# xhci asks for, and to be told when QEMU has let go of the device.
CAPABILITIES = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6
SUCCESS, CANCELLED, IOERROR, STALL = 0, 1, 3, 4
HIGH_SPEED = 2
UNUSED, ISO_TYPE, BULK_TYPE, CONTROL_TYPE = 255, 1, 2, 0

GET_DESCRIPTOR = 0x80, 6
DEVICE, CONFIGURATION, STRING = 1, 2, 3


def descriptors(device_id, serial, settings):
    """What GET_DESCRIPTOR answers, by type and index."""
    def endpoint(address, kind, size, interval):
        return struct.pack("<BBBBHB", 7, 5, address, kind, size, interval)

    def interface(setting, endpoints):
        return struct.pack("<9B", 9, 4, 0, setting, len(endpoints), 255, 0, 0, 0) + b"".join(
            endpoint(*each) for each in endpoints)

    vendor, product = (int(word, 16) for word in device_id.split(":"))
    interfaces = b"".join(interface(*each) for each in enumerate(settings))
    return {
        (DEVICE, 0): struct.pack("<BBHBBBBHHHBBBB", 18, 1, 0x200, 0, 0, 0, 64, vendor, product, 0x100, 0, 0, 1, 1),
        (CONFIGURATION, 0): struct.pack("<BBHBBBBB", 9, 2, 9 + len(interfaces), 1, 1, 0, 0x80, 50) + interfaces,
        (STRING, 0): struct.pack("<BBH", 4, 3, 0x409),
        (STRING, 1): struct.pack("<BB", 2 + 2 * len(serial), 3) + serial.encode("utf-16-le")}


class RedirDevice:
    """`settings`: for each alternate setting its endpoints, as (address, type, packet size, interval)."""

    def __init__(self, path, device_id, serial, settings):
        self._identity = device_id
        self._settings = settings
        self._descriptors = descriptors(device_id, serial, settings)
        self._configuration = self._setting = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection = None
        # Whether it is plugged in, and whether it should be: only its own thread writes to the connection.
        self._plugged = self._wanted = False
        self._failure = None
        self._actions = collections.deque()
        # What a QEMU of machine A has to be told; B gets `path` like any server.
        self.arguments = [
            "-device", "qemu-xhci,id=own", "-chardev", f"socket,id=own,path={path}",
            "-device", "usb-redir,bus=own.0,chardev=own"]
        threading.Thread(target=self._live, daemon=True).start()

    def check(self):
        if self._failure:
            raise AssertionError(f"the laboratory's device failed: {self._failure!r}")

    def plug(self):
        self._wanted = True

    def unplug(self):
        self._wanted = False

    # For subclasses, called on the device's own thread.

    def packet(self, kind, packet_id, body):
        """A packet of the guest that concerns the endpoints, or RESET."""

    def unplugged(self):
        """The device is gone, and the guest has been told."""

    def turn(self):
        """A moment in which something may be sent."""

    def act(self, action):
        """Lets the device's own thread call `action`."""
        self._actions.append(action)

    def send(self, kind, body, packet_id=0):
        self._connection.sendall(self.framed(kind, body, packet_id))

    @staticmethod
    def framed(kind, body, packet_id=0):
        return struct.pack("<IIQ", kind, len(body), packet_id) + body

    def _live(self):
        try:
            self._connection, _ = self._listener.accept()
            hello = struct.pack("<64sI", b"laboratory", CAPABILITIES)
            self._connection.sendall(struct.pack("<III", HELLO, len(hello), 0) + hello)
            self._take(12 + 68)
            self._wanted = True
            while True:
                kind, length, packet_id = struct.unpack("<IIQ", self._take(16))
                self._receive(kind, packet_id, self._take(length))
        except (ConnectionError, EOFError):
            pass  # The machine has ended.
        except Exception as error:  # Whatever it was, the scenario has to hear of it.
            self._failure = error

    def _receive(self, kind, packet_id, body):
        if kind == CONTROL:
            self._control(packet_id, body)
        elif kind in (SET_CONFIGURATION, GET_CONFIGURATION):
            if kind == SET_CONFIGURATION:
                self._configuration, self._setting = body[0], 0
                self._infos()
            self.send(CONFIGURATION_STATUS, bytes([SUCCESS, self._configuration]), packet_id)
        elif kind in (SET_ALT_SETTING, GET_ALT_SETTING):
            if kind == SET_ALT_SETTING:
                self._setting = body[1]
                self._infos()
            self.send(ALT_SETTING_STATUS, bytes([SUCCESS, 0, self._setting]), packet_id)
        else:
            self.packet(kind, packet_id, body)

    def _control(self, packet_id, body):
        endpoint, request, request_type, _, value, index, length = struct.unpack_from("<BBBBHHH", body)
        answer = None
        if (request_type, request) == GET_DESCRIPTOR:
            answer = self._descriptors.get((value >> 8, value & 255))
        status = STALL if answer is None else SUCCESS
        answer = (answer or b"")[:length]
        header = struct.pack("<BBBBHHH", endpoint, request, request_type, status, value, index, len(answer))
        self.send(CONTROL, header + answer, packet_id)

    def _infos(self):
        types, intervals, sizes = [UNUSED] * 32, [0] * 32, [0] * 32
        types[0] = types[16] = CONTROL_TYPE
        sizes[0] = sizes[16] = 64
        for address, kind, size, interval in self._settings[self._setting]:
            slot = (address & 15) + (16 if address & 0x80 else 0)
            types[slot], intervals[slot], sizes[slot] = kind, interval, size
        self.send(EP_INFO, struct.pack("<32B32B32B32H", *types, *intervals, *[0] * 32, *sizes))
        count = 1 if self._configuration else 0
        self.send(INTERFACE_INFO, struct.pack("<I32B32B32B32B", count, *[0] * 32, *[255] * 32, *[0] * 64))

    def _take(self, count):
        """So many bytes of the guest. Meanwhile the device comes and goes, and does what it is told."""
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
            vendor, product = (int(word, 16) for word in self._identity.split(":"))
            self._configuration = self._setting = 0
            self._infos()
            self.send(DEVICE_CONNECT, struct.pack("<BBBBHHH", HIGH_SPEED, 0, 0, 0, vendor, product, 0x100))
        elif self._plugged and not self._wanted:
            self.send(DEVICE_DISCONNECT, b"")
            self.unplugged()
        self._plugged = self._wanted
        while self._actions:
            self._actions.popleft()()
        self.turn()
