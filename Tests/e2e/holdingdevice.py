"""A USB device with bulk endpoints that holds the requests of its guest until it is told what to do with them: right
things, or on purpose the mistakes that a usb-host must never make. One endpoint OUT, one IN.
"""

import collections
import struct

import redirdevice
from redirdevice import (
    BULK, BULK_TYPE, CANCEL_DATA_PACKET, CANCELLED, DEVICE_DISCONNECT, DEVICE_DISCONNECT_ACK, IOERROR, SUCCESS)
from steps import wait_until

# No driver takes it.
DEVICE_ID = "1d6b:0107"
IN, OUT = 0x81, 0x02
SETTINGS = [[(IN, BULK_TYPE, 512, 0), (OUT, BULK_TYPE, 512, 0)]]
# A packet type that no version of the protocol has, well framed.
UNKNOWN = redirdevice.RedirDevice.framed(250, b"")


class HoldingDevice(redirdevice.RedirDevice):
    def __init__(self, path, serial):
        # id: (endpoint, length), in the order in which they came.
        self._held = collections.OrderedDict()
        self._acknowledged = 0
        super().__init__(path, DEVICE_ID, serial, SETTINGS)

    def wait_held(self, lengths):
        """Waits until the guest's unanswered requests are those with `lengths`, in that order."""
        def held():
            self.check()
            return [length for _, length in list(self._held.values())]
        try:
            wait_until(lambda: held() == lengths, 60, f"requests of {lengths} bytes wait in the device")
        except AssertionError as error:
            raise AssertionError(f"{error}; those of {held()} do") from None

    def answer(self):
        """Every request, in its turn."""
        self.act(lambda: self._answer(SUCCESS, list(self._held)))

    def answer_reversed(self):
        """MISTAKE: the newest first."""
        self.act(lambda: self._answer(SUCCESS, list(reversed(self._held))))

    def unplug_answering_first(self):
        """MISTAKE: all requests have failed, told as the kernel gives them back, and only then the device is gone."""
        def unplug():
            self._answer(IOERROR, list(reversed(self._held)))
            self.unplug()
        self.act(unplug)

    def send_unknown(self, more=b""):
        """MISTAKE: a packet that the guest's parser refuses, and `more` in the same write."""
        self.act(lambda: self._connection.sendall(UNKNOWN + more))

    def wait_acknowledged(self, times):
        """Waits until the guest has so often said that it saw the device go: it reads us, and lives."""
        wait_until(lambda: self._acknowledged >= times, 60, "the guest acknowledges that the device went")

    def disconnect(self):
        self.act(lambda: self.send(DEVICE_DISCONNECT, b""))

    def packet(self, kind, packet_id, body):
        if kind == BULK:
            endpoint, _, low, _, high = struct.unpack_from("<BBHIH", body)
            self._held[packet_id] = endpoint, high << 16 | low
        elif kind == CANCEL_DATA_PACKET and packet_id in self._held:
            self._answer(CANCELLED, [packet_id])
        elif kind == DEVICE_DISCONNECT_ACK:
            self._acknowledged += 1

    def unplugged(self):
        self._answer(IOERROR, list(self._held))

    def _answer(self, status, ids):
        """All in one write, so that the guest sees them side by side."""
        answers = b""
        for packet_id in ids:
            endpoint, length = self._held.pop(packet_id)
            done = length if status == SUCCESS else 0
            header = struct.pack("<BBHIH", endpoint, status, done & 0xffff, 0, done >> 16)
            answers += self.framed(BULK, header + bytes(done if endpoint == IN else 0), packet_id)
        self._connection.sendall(answers)
