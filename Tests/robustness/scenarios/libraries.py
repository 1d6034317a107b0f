"""libusb and libevent find no memory, at each place where they ask for some and the next, and for a while everywhere."""

import contextlib
import itertools
import select
import socket
import threading
import time

from client import BULK_IN, BULK_OUT, STAMPED, Client, Neighbour
from scarcity import MEMORY, Scarcity
from scenarios.comings import drain
from scenarios.faults import control, works
from scenarios.vanishing import wait_given_back
from server import NotStarted
from simulated import Simulation, wait_until
from steps import expect
from usbguest import (ALT_SETTING_STATUS, BULK_PACKET, CANCEL_DATA_PACKET, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS,
                      SET_ALT_SETTING, START_INTERRUPT_RECEIVING, SUCCESS, Guest)

# Reports a second of the device that is looked at: few, as each of them asks for memory.
RATE = 100
# Seconds that a guest waits for what may never come.
PATIENCE = 3
# Seconds without memory: streams end after more than one.
WHILE = 0.2
# What a line says that tells of it.
WORDS = ("memory", "NO_MEM")


def no_memory_in_libraries(lab):
    with Scarcity() as scarcity, Simulation(2, RATE, STAMPED) as simulation:
        lab.note(f"starting: {starting(lab, scarcity, simulation)}")
        with lab.serving_on(simulation, "port=1-1", "virtual=source-sink", preloaded=scarcity) as (server, ports), \
                VirtualNeighbour(ports[1]):
            for count in (1, 2):
                lab.note(f"in a session, {count} in a row: {in_sessions(scarcity, simulation, server, ports[0], count)}")
            lab.note(f"plugged in again: {plugged_in_again(scarcity, simulation, ports[0], 5 if lab.is_quick else 1)}")
    lab.note(f"everywhere for a while: {everywhere(lab)}")


# MARK: at each place


def starting(lab, scarcity, simulation):
    """It serves, or says why not."""
    refusals, blind = set(), 0
    for place in itertools.count():
        try:
            with contextlib.ExitStack() as stack:
                with scarcity.lacking(MEMORY, place):
                    server, ports = stack.enter_context(lab.serving_on(simulation, "port=1-1", preloaded=scarcity))
                if "is not plugged in" in server.log():
                    blind += 1
                    plug_again(simulation)
                with Client(ports[0]) as guest:
                    life(guest)
        except NotStarted as end:
            expect("status", 1, end.status)
            lines = [line for line in end.log.splitlines() if "listening on" not in line]
            if len(lines) != 1 or not says(lines[0]):
                raise AssertionError(f"place {place}: the server says: {end.log}") from None
            refusals.add(lines[0])
        if not scarcity.has_failed:
            return f"{place} places, refused with {len(refusals)} different lines, {blind} times libusb missed the device"


def in_sessions(scarcity, simulation, server, port, count):
    """What a guest does from its connection on; then all of it works, on that connection or on a new one."""
    disturbed = 0
    for place in itertools.count():
        said = len(server.log())
        guest, failure = None, None
        with scarcity.lacking(MEMORY, place, count):
            try:
                guest = Client(port, patience=PATIENCE)
                life(guest)
            except (AssertionError, OSError) as error:
                failure = str(error)
        if failure:
            disturbed += 1
            wait_until(lambda: says(server.log()[said:]), f"a line about '{failure}' at place {place}")
        with guest or Client(port) as guest:
            guest.stop()
            life(guest)
        wait_given_back(simulation)
        if not scarcity.has_failed:
            return f"{place} places, at {disturbed} of them something could not be done"


def plugged_in_again(scarcity, simulation, port, step):
    """What libusb misses for lack of memory nobody knows of, until it is plugged in once more."""
    missed = 0
    for place in itertools.count(0, step):
        with Client(port) as guest:
            guest.start()
            with scarcity.lacking(MEMORY, place):
                simulation.tell("unplug", 0)
                drain(guest)
                guest.acknowledge()
                simulation.tell("plug", 0)
                is_announced = select.select([guest._socket], [], [], PATIENCE)[0]
            if not is_announced:
                missed += 1
                plug_again(simulation)
            guest.connected()
            life(guest)
        wait_given_back(simulation)
        if not scarcity.has_failed:
            return f"{place} places, {missed} times libusb missed the device"


def plug_again(simulation):
    simulation.tell("unplug", 0)
    simulation.tell("plug", 0)


# MARK: everywhere for a while


def everywhere(lab):
    """Nothing finds memory for a while, again and again: a device holds its reports."""
    failed = 0
    with Scarcity() as scarcity, \
            lab.serving("port=1-1", "port=1-2", options=STAMPED, preloaded=scarcity) as (simulation, server, ports), \
            Neighbour(ports[1]) as neighbour, Client(ports[0]) as guest:
        guest.start()
        for _ in range(3 if lab.is_quick else 20):
            guest.wait_reports(100)
            scarcity.start(MEMORY, seconds=WHILE)
            time.sleep(WHILE)
            failed += scarcity.stop(MEMORY)
            works(guest)
        if failed == 0:
            raise AssertionError("nothing asked for memory")
        expect("reports missing", (0, 0, []), (guest.missing, guest.restarts, guest.errors))
        return f"{failed} requests, {neighbour.longest_gap * 1000:.0f} ms between two reports at most"


# MARK: those that take part


def life(guest):
    """Something of everything."""
    guest.start()
    cancelled_at_once(guest)
    guest.wait_reports(3)
    expect("bulk IN", (SUCCESS, 65536), guest.bulk_in(1))
    guest.send_bulk(2, BULK_OUT, data=bytes(512))
    expect("bulk OUT", SUCCESS, guest.wait(BULK_PACKET, id=2).body[1])
    expect("control", SUCCESS, control(guest, 3))
    guest.stop()


def cancelled_at_once(guest):
    """A request and its cancel, which the server reads in one piece."""
    guest._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    guest.send_bulk(0, BULK_IN, 512)
    guest.send(CANCEL_DATA_PACKET, 0)
    guest._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    guest.wait(BULK_PACKET, id=0)


def says(text):
    return any(word in text for word in WORDS)


class VirtualNeighbour(threading.Thread):
    """A guest of the server's own source of reports, which asks no library for memory: it misses none."""

    ENDPOINT = 0x83

    def __init__(self, port):
        super().__init__(daemon=True)
        self._guest = Guest(port)
        self._guest.send(SET_ALT_SETTING, 0, bytes([0, 1]))
        while self._guest.packet().kind != ALT_SETTING_STATUS:
            pass
        self._guest.send(START_INTERRUPT_RECEIVING, 0, bytes([self.ENDPOINT]))
        self._guest.answer(INTERRUPT_RECEIVING_STATUS, 0)
        self._is_over, self.failure = threading.Event(), None

    def __enter__(self):
        self.start()
        return self

    def run(self):
        try:
            for number in itertools.count():
                if self._is_over.is_set():
                    return
                expect("the neighbour's report", SUCCESS, self._guest.answer(INTERRUPT_PACKET, number)[1])
        except (AssertionError, OSError) as error:
            self.failure = error

    def __exit__(self, kind, *_):
        self._is_over.set()
        self.join()
        self._guest.__exit__()
        if kind is None and self.failure:
            raise self.failure


SCENARIOS = {
    "no-memory-in-libraries": no_memory_in_libraries,
}
