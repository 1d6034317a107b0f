"""A usb-guest on a simulated device: takes reports on the way to whatever it waits for, and holds them to their numbers."""

import struct
import threading
import time

from usbguest import (BULK_PACKET, DEVICE_CONNECT, DEVICE_DISCONNECT, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS,
                      START_INTERRUPT_RECEIVING, STOP_INTERRUPT_RECEIVING, SUCCESS, Guest)

DEVICE_DISCONNECT_ACK = 24
REPORTS, BULK_IN, BULK_OUT = 0x81, 0x82, 0x02
# Bytes of a report that holds its whole number; an option of usbfs-sim.
STAMPED = ("--report-bytes", "16")


class Client(Guest):
    """`reports` counts those with data, `errors` are the statuses of the others, `restarts` the times that ids began anew,
    `missing` the numbers that were left out.
    """

    def __init__(self, port, **options):
        super().__init__(port, **options)
        self.reports, self.errors, self.restarts = 0, [], 0
        self.missing, self.longest_gap = 0, 0.0
        self._next_id = self._next_number = None
        self._last = 0.0
        self.ready = 0

    def start(self):
        self._next_id = 0
        self.send(START_INTERRUPT_RECEIVING, 0, bytes([REPORTS]))
        status = self.wait(INTERRUPT_RECEIVING_STATUS)
        if status.body[0] != SUCCESS:
            raise AssertionError(f"receiving does not start: status {status.body[0]}")

    def stop(self):
        self.send(STOP_INTERRUPT_RECEIVING, 0, bytes([REPORTS]))
        self.wait(INTERRUPT_RECEIVING_STATUS)

    def wait(self, *kinds, id=None):
        """The next packet of one of these kinds; reports are taken meanwhile, anything else is a failure."""
        while True:
            packet = self.packet()
            if packet is None:
                raise AssertionError(f"the connection was closed instead of packet {kinds}")
            if packet.kind == INTERRUPT_PACKET and packet.body[0] == REPORTS:
                self._take(packet)
                if INTERRUPT_PACKET in kinds:
                    return packet
            elif packet.kind in kinds and (id is None or packet.id == id):
                return packet
            else:
                raise AssertionError(f"packet {packet.kind} with id {packet.id} came instead of {kinds} with id {id}")

    def wait_reports(self, count):
        """So many more reports."""
        enough = self.reports + count
        while self.reports < enough:
            self.wait(INTERRUPT_PACKET)

    def _take(self, packet):
        status, data = packet.body[1], packet.body[4:]
        if packet.id == 0 and self._next_id not in (0, None):
            self.restarts += 1
        elif packet.id != self._next_id:
            raise AssertionError(f"the report's id is {packet.id} instead of {self._next_id}")
        self._next_id = packet.id + 1
        if status != SUCCESS:
            self.errors.append(status)
            return
        self.reports += 1
        first, number = struct.unpack_from("<QQ", data)
        if first & 0xFFFF != number & 0xFFFF:
            raise AssertionError(f"report {number} is not what the device sent")
        self.ready = first >> 16
        if self._next_number is not None:
            if number < self._next_number:
                raise AssertionError(f"report {number} comes behind {self._next_number - 1}")
            self.missing += number - self._next_number
        self._next_number = number + 1
        now = time.monotonic()
        if self._last:
            self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now

    def age(self):
        """Seconds since the last report became ready in the device."""
        return ((time.monotonic_ns() - self.ready) & (1 << 48) - 1) / 1e9

    def wait_bulk(self, count):
        """So many answers to bulk requests."""
        for _ in range(count):
            self.wait(BULK_PACKET)

    def bulk_in(self, id, length=65536):
        self.send_bulk(id, BULK_IN, length)
        answer = self.wait(BULK_PACKET, id=id)
        return answer.body[1], len(answer.body) - 10

    def acknowledge(self):
        self.send(DEVICE_DISCONNECT_ACK, 0)

    def gone_and_back(self, simulation, device):
        """The device is gone, or about to be; it is acknowledged, plugged in and announced again on this connection."""
        self.wait(DEVICE_DISCONNECT)
        self.acknowledge()
        simulation.tell("plug", device)
        self.connected()

    def connected(self):
        """Takes an announcement; what it says of the device."""
        while True:
            packet = self.packet()
            if packet is None:
                raise AssertionError("the connection was closed instead of an announcement")
            self.announcement[packet.kind] = packet.body
            if packet.kind == DEVICE_CONNECT:
                self._next_id = self._next_number = None
                return packet.body


class Neighbour(threading.Thread):
    """A guest with a device of its own that has no part in what happens: it misses nothing."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._client = Client(port)
        self._client.start()
        self._is_over, self._failure = threading.Event(), None

    def __enter__(self):
        self.start()
        return self._client

    def run(self):
        try:
            while not self._is_over.is_set():
                self._client.wait_reports(1)
        except (AssertionError, OSError) as error:
            self._failure = error

    def __exit__(self, kind, *_):
        self._is_over.set()
        self.join()
        self._client.__exit__()
        if kind is None:
            if self._failure:
                raise self._failure
            if self._client.missing or self._client.restarts or self._client.errors:
                raise AssertionError(f"the neighbour missed {self._client.missing} reports, had {self._client.restarts} "
                                     f"restarts and {len(self._client.errors)} errors")
