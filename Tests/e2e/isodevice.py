"""A USB device with iso endpoints, for machine A: gadgets have none, since dummy_hcd carries none. Interface 0, setting 1: an
endpoint each way, a packet each millisecond. An IN packet starts with its number, counted from 1 since the stream was
started; so does an OUT packet, and its number is noted.
"""

import struct
import time

import redirdevice
from redirdevice import ISO, ISO_STATUS, ISO_TYPE, RESET, START_ISO, STOP_ISO, SUCCESS
from steps import wait_until

# What the kernel's usbtest driver takes for an iso source and sink; with an id of its own, since the driver keeps the
# setting that it chose per id.
DEVICE_ID = "0525:a4a3"
PACKET = 256
IN, OUT = 0x81, 0x02
# An interval of 4: every 8 microframes.
SETTINGS = [[], [(IN, ISO_TYPE, PACKET, 4), (OUT, ISO_TYPE, PACKET, 4)]]


class IsoDevice(redirdevice.RedirDevice):
    def __init__(self, path, serial):
        # When the IN stream started, and how many of its packets were sent.
        self._start, self._sent = None, 0
        self._received = []
        super().__init__(path, DEVICE_ID, serial, SETTINGS)

    def take_received(self):
        """Numbers of the OUT packets since the last call, without the packets that have none."""
        self.check()
        taken, self._received = self._received, []
        return [number for number in taken if number != 0]

    def wait_streaming(self):
        """Waits until some packets have left on the IN stream."""
        wait_until(lambda: self._start is not None and self._sent > 200, 60, "the device streams")

    def packet(self, kind, packet_id, body):
        if kind == RESET:
            self._start = None
        elif kind == START_ISO:
            if body[0] == IN:
                self._start, self._sent = time.monotonic(), 0
            self.send(ISO_STATUS, bytes([SUCCESS, body[0]]), packet_id)
        elif kind == STOP_ISO:
            if body[0] == IN:
                self._start = None
            self.send(ISO_STATUS, bytes([SUCCESS, body[0]]), packet_id)
        elif kind == ISO:
            self._received.append(struct.unpack_from("<I", body, 4)[0] if len(body) >= 8 else 0)

    def unplugged(self):
        self._start = None

    def turn(self):
        if self._start is None:
            return
        due = int((time.monotonic() - self._start) * 1000)
        while self._sent < due:
            self._sent += 1
            body = struct.pack("<I", self._sent) + bytes((self._sent + i) & 255 for i in range(4, PACKET))
            self.send(ISO, struct.pack("<BBH", IN, SUCCESS, PACKET) + body, self._sent - 1)
