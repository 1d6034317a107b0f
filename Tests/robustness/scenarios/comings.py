"""Devices that come and go: at every request to usbfs, again and again under load, and as others than they were."""

import select
import struct

from client import BULK_IN, BULK_OUT, STAMPED, Client, Neighbour
from simulated import wait_until
from steps import expect
from usbguest import (ALT_SETTING_STATUS, BULK_PACKET, CANCELLED, CONTROL_PACKET, DEVICE_DISCONNECT, ENDPOINT_INFO,
                      INTERFACE_INFO, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS, IOERROR, RESET, SET_ALT_SETTING,
                      START_INTERRUPT_RECEIVING, STOP_INTERRUPT_RECEIVING, SUCCESS)

PORTS = ("port=1-1", "port=1-2")
CANCEL_DATA_PACKET = 21
# KiB, and descriptors, that a server may have more after many cycles.
GROWTH = 1 << 10


# MARK: at every request


class Life:
    """One life of a device, from its announcement to a last control transfer, all asked for at once."""

    def __init__(self, guest):
        self._guest = guest
        self._open = {}
        self._last = {}
        self._is_gone = False

    def run(self):
        """False when the device was unplugged in it."""
        self._ask()
        while self._open:
            self._take(self._guest.packet())
        return not self._is_gone

    def _ask(self):
        send, guest = self._guest.send, self._guest
        send(START_INTERRUPT_RECEIVING, 0, b"\x81")
        for id in range(1, 9):
            guest.send_bulk(id, BULK_IN, 4096)
            guest.send_bulk(id + 10, BULK_OUT, data=bytes(512))
            self._open.update({(BULK_PACKET, id): BULK_IN, (BULK_PACKET, id + 10): BULK_OUT})
        self._control(20)
        send(SET_ALT_SETTING, 21, bytes([1, 0]))
        self._open[ALT_SETTING_STATUS, 21] = None
        send(CONTROL_PACKET, 22, struct.pack("<BBBBHHH", 0, 1, 2, 0, 0, 0x81, 0))  # clear halt
        self._open[CONTROL_PACKET, 22] = 0
        send(RESET, 0)
        self._control(23)
        send(STOP_INTERRUPT_RECEIVING, 0, b"\x81")
        send(START_INTERRUPT_RECEIVING, 0, b"\x81")
        self._control(24)

    def _control(self, id):
        self._guest.send(CONTROL_PACKET, id, struct.pack("<BBBBHHH", 0x80, 6, 0x80, 0, 0x100, 0, 18))
        self._open[CONTROL_PACKET, id] = 0

    def _take(self, packet):
        if packet is None:
            raise AssertionError(f"the connection was closed; without an answer: {sorted(self._open)}")
        if packet.kind == DEVICE_DISCONNECT:
            expect("told before that the device is gone", False, self._is_gone)
            self._is_gone = True
        elif packet.kind == INTERRUPT_PACKET:
            if self._is_gone and packet.body[1] == SUCCESS:
                raise AssertionError("a report of a device that is gone")
        elif packet.kind in (BULK_PACKET, CONTROL_PACKET, ALT_SETTING_STATUS):
            self._answered(packet)
        elif packet.kind not in (ENDPOINT_INFO, INTERFACE_INFO, INTERRUPT_RECEIVING_STATUS):
            raise AssertionError(f"packet {packet.kind} with id {packet.id} came by itself")

    def _answered(self, packet):
        if (packet.kind, packet.id) not in self._open:
            raise AssertionError(f"packet {packet.kind} with id {packet.id} answers nothing, or twice")
        line = self._open.pop((packet.kind, packet.id))
        status = packet.body[{BULK_PACKET: 1, CONTROL_PACKET: 3, ALT_SETTING_STATUS: 0}[packet.kind]]
        allowed = (IOERROR, CANCELLED) if self._is_gone else (SUCCESS, CANCELLED)
        if status not in allowed:
            raise AssertionError(f"packet {packet.kind} with id {packet.id}: status {status}, the device "
                                 f"{'gone' if self._is_gone else 'there'}")
        if status == CANCELLED:
            return
        if line is not None and packet.id < self._last.get((packet.kind, line), 0):
            raise AssertionError(f"packet {packet.kind} with id {packet.id} comes out of turn")
        self._last[packet.kind, line] = packet.id


def unplugged_at_every_request(lab):
    """The device is unplugged at its first request to usbfs, plugged in and opened again, unplugged at the second one …"""
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[1]), Client(ports[0]) as guest:
        before = requests(simulation)
        expect("undisturbed", True, Life(guest).run())
        whole = requests(simulation) - before
        simulation.tell("unplug", 0)
        again(guest, simulation, 0)
        whole += 20  # Opening it, and giving it back.
        step, in_opening = 7 if lab.is_quick else 1, 0
        for number in range(0, whole, step):
            simulation.tell("unplug", 0)
            drain(guest)
            guest.acknowledge()
            simulation.tell("fault", f"any:unplug@{number}", 0)
            faults = simulation.counters(0)["faults"]
            simulation.tell("plug", 0)
            if not announced(guest, simulation, faults):
                in_opening += 1
                simulation.tell("plug", 0)
                guest.connected()
                continue
            if Life(guest).run():
                # It is beyond the end of this life.
                simulation.tell("fault", "none", 0)
                continue
            guest.acknowledge()
            simulation.tell("plug", 0)
            guest.connected()
        lab.note(f"unplugged at {(whole + step - 1) // step} places, {in_opening} of them while it was opened")


def requests(simulation):
    counters = simulation.counters(0)
    return counters["ioctls"] - counters["reaps"] - counters["empty_reaps"]


def drain(guest):
    """What was under way, up to the news that the device is gone."""
    while guest.packet().kind != DEVICE_DISCONNECT:
        pass


def again(guest, simulation, device):
    drain(guest)
    guest.acknowledge()
    simulation.tell("plug", device)
    guest.connected()


def announced(guest, simulation, faults):
    """Whether the device was opened before the next fault took it away."""
    is_there = []

    def is_decided():
        if readable(guest):
            guest.connected()
            is_there.append(True)
        return is_there or simulation.counters(0)["faults"] > faults

    wait_until(is_decided, "an announcement, or the fault")
    return bool(is_there)


def readable(guest):
    return bool(select.select([guest._socket], [], [], 0.05)[0])


# MARK: again and again


def cycles(lab):
    """Unplugged and plugged in again under load, a hundred times."""
    count = 20 if lab.is_quick else 100
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[1]), Client(ports[0]) as guest:
        for number in range(count):
            guest.start()
            for id in range(16):
                guest.send_bulk(id, BULK_IN, 65536)
            guest.wait_bulk(8)
            simulation.tell("unplug", 0)
            again(guest, simulation, 0)
            if number == count // 4:
                before, files = server.memory()[0], server.descriptors()
        grown, more = server.memory()[0] - before, server.descriptors() - files
        expect("reports missing", 0, guest.missing)
        if grown > GROWTH or more > 0:
            raise AssertionError(f"the server grew by {grown} KiB and {more} descriptors")
        lab.note(f"{count} cycles; the last three quarters of them: {grown} KiB and {more} descriptors more")


# MARK: as another one


def as_another(lab):
    """It comes back with other descriptors: on its port it is announced as what it is now, by its id it is waited for."""
    with lab.serving("port=1-1", "1209:0001", options=STAMPED) as (simulation, server, ports), \
            Client(ports[0]) as on_port, Client(ports[1]) as by_id:
        for device in (0, 1):
            simulation.tell("unplug", device)
            simulation.tell("product", "0002", device)
        for guest in (on_port, by_id):
            drain(guest)
            guest.acknowledge()
        simulation.tell("plug", "all")
        expect("idProduct of what is on the port", 2, struct.unpack_from("<6xH", on_port.connected())[0])
        on_port.start()
        on_port.wait_reports(100)
        wait_until(lambda: "device id=1209:0001 is not plugged in; waiting for it" in server.log(), "the export's complaint")
        simulation.tell("unplug", 1)
        simulation.tell("product", "0001", 1)
        simulation.tell("plug", 1)
        expect("idProduct of what came back", 1, struct.unpack_from("<6xH", by_id.connected())[0])
        by_id.start()
        by_id.wait_reports(100)


SCENARIOS = {
    "unplugged-at-every-request": unplugged_at_every_request,
    "unplugged-again-and-again": cycles,
    "back-as-another": as_another,
}
