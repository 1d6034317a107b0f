"""A usb-guest of this process at a boot keyboard: a connection and no machine, so that it can vanish in any way."""

import keyboard
from steps import expect, expect_same
from usbguest import (
    DEVICE_CONNECT, DEVICE_DISCONNECT, ENDPOINT_INFO, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS,
    START_INTERRUPT_RECEIVING, SUCCESS, Guest)

DEVICE_DISCONNECT_ACK = 24
INTERRUPT = 3
REPORT_LENGTH = 8


class KeyboardGuest(Guest):
    """Receives reports once it is made, or once `wait_plugged` has come back."""

    def __init__(self, port, is_plugged=True):
        super().__init__(port, expects_device=is_plugged)
        if is_plugged:
            self._receive()

    def wait_unplugged(self):
        """Takes reports until then."""
        while (packet := self._expect_packet()).kind != DEVICE_DISCONNECT:
            expect("kind of a packet before the device is gone", INTERRUPT_PACKET, packet.kind)
        self.send(DEVICE_DISCONNECT_ACK, 0)

    def wait_plugged(self):
        """Takes the announcement."""
        self.announcement.clear()
        while DEVICE_CONNECT not in self.announcement:
            packet = self._expect_packet()
            self.announcement[packet.kind] = packet.body
        self._receive()

    def take_report(self):
        """The usages of the keys that are down."""
        # Newer kernels' gadgets end a report that fills a packet with an empty one.
        while not (data := self._take_packet()):
            pass
        expect("bytes of a report", REPORT_LENGTH, len(data))
        return [usage for usage in data[2:] if usage]

    def take_keys(self, keys):
        """Takes as many reports as these make, and they have to be these."""
        expected = [down for key in keys for down in ([keyboard.USAGES[key]], [])]
        expect_same("presses and releases", expected, [self.take_report() for _ in expected])

    def vanish(self, way):
        """One of `connections.WAYS`."""
        way(self._socket)

    def wait_closed(self):
        """Takes what comes until the server has closed the connection."""
        while self.packet():
            pass

    def _take_packet(self):
        body = self.answer(INTERRUPT_PACKET, self._next_id)
        self._next_id += 1
        expect("status of a report", SUCCESS, body[1])
        return body[4:]

    def _expect_packet(self):
        packet = self.packet()
        if packet is None:
            raise AssertionError("the server closed the connection")
        return packet

    def _receive(self):
        # 16 OUT endpoints, then 16 IN.
        types = self.announcement[ENDPOINT_INFO][:32]
        endpoint = 0x80 | types.index(INTERRUPT, 16) - 16
        self._next_id = 0
        self.send(START_INTERRUPT_RECEIVING, 0, bytes([endpoint]))
        status = self.answer(INTERRUPT_RECEIVING_STATUS, 0)
        expect_same("status and endpoint of receiving", bytes([SUCCESS, endpoint]), status[:2])
