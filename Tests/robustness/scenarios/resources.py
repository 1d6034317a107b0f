"""What a server costs after thousands of sessions, and what it does when the system gives it no more."""

import resource
import struct
import sys
import time

from client import BULK_IN, STAMPED, Client, Neighbour
from scenarios.vanishing import reset, silent, wait_given_back
from simulated import wait_until
from steps import expect
from usbguest import (BUFFERED_BULK_PACKET, BULK_RECEIVING_STATUS, DEVICE_CONNECT, HELLO, IOERROR, START_BULK_RECEIVING,
                      STOP_BULK_RECEIVING, SUCCESS, Guest)

# KiB that a server may have more after all its sessions but the first few, when it has settled.
GROWTH = 1 << 10
# Endpoints of `virtual=source-sink`.
SOURCE_IN, SINK_OUT = 0x81, 0x01


# MARK: thousands of sessions


def mute(simulated, virtual):
    silent(simulated).close()
    reset(silent(virtual))


def greeted(simulated, virtual):
    Client(simulated).__exit__()
    reset(Guest(virtual)._socket)


def left_at_once(simulated, virtual):
    """Before the device is open."""
    for port in (simulated, virtual):
        reset(Guest(port, expects_device=False)._socket)


def stopped(simulated, virtual):
    with Client(simulated) as guest:
        guest.start()
        guest.wait_reports(2)
        guest.stop()
    with Guest(virtual) as guest:
        guest.bulk(1, SOURCE_IN, 65536)


def in_flight(simulated, virtual):
    guest = Client(simulated)
    guest.start()
    for id in range(8):
        guest.send_bulk(id, BULK_IN, 65536)
    reset(guest._socket)
    with Guest(virtual) as guest:
        for id in range(8):
            guest.send_bulk(id, SOURCE_IN, 65536)


WAYS = (mute, greeted, left_at_once, stopped, in_flight)


def thousands(lab):
    count = 1000 if lab.is_quick else 10_000
    with lab.serving("port=1-1", "virtual=source-sink", "port=1-2", options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[2]):
        for number in range(count // 2):
            WAYS[number % len(WAYS)](*ports[:2])
            if number == count // 10:
                before = settled(simulation, server)
        wait_until(lambda: server.descriptors() <= before[1] and server.threads() <= before[2],
                   f"no more than {before[1]} descriptors and {before[2]} threads")
        grown = [after - early for after, early in zip(settled(simulation, server), before)]
        if grown[0] > GROWTH or max(grown[1:]) > 0:
            raise AssertionError("the server grew by {} KiB, {} descriptors, {} threads".format(*grown))
        lab.note("{} sessions; behind the first fifth: {} KiB, {} descriptors, {} threads more".format(count, *grown))


def settled(simulation, server):
    """KiB resident, descriptors and threads of a server whose guests have left, but for one."""
    wait_given_back(simulation)
    time.sleep(0.5)
    return server.memory()[0], server.descriptors(), server.threads()


# MARK: no descriptors

# Sleeps in a second.
OFTEN = 10


def no_descriptors(lab):
    """The server may have no descriptor more, then one, two …: it says what failed and rests; the same guest gets the device
    when it may have more again.
    """
    seconds = 1 if lab.is_quick else 2
    places = ("accept on", "cannot open", "libusb_init")
    rests, failed = sys.maxsize, set()
    with lab.serving("port=1-1", "port=1-2", options=STAMPED) as (simulation, server, ports), Neighbour(ports[1]):
        for limit in range(server.lowest_free(), server.lowest_free() + 5):
            said = len(server.log())
            with server.limited(resource.RLIMIT_NOFILE, limit):
                guest = Waiting(ports[0])
                wait_until(lambda: has_come_far(server.log()[said:]), f"descriptor limit {limit}: how far a guest comes")
                rests = min(rests, most_wakeups(server, seconds))
            told = [line for line in server.log()[said:].splitlines() if "Too many open files; raise the limit" in line]
            expect(f"descriptor limit {limit}: lines of one failure", len(set(told)), len(told))
            failed.update(place for place in places for line in told if place in line)
            guest.wait_device()
            wait_given_back(simulation)
    expect("what failed", set(places), failed)
    # It sleeps between the neighbour's reports, unless something keeps it from that.
    if rests < OFTEN * seconds:
        raise AssertionError(f"the server slept {rests} times in {seconds} s")
    lab.note(f"it slept {rests} times in {seconds} s at least")


def has_come_far(log):
    """A guest has its device, or waits for it, or is not even accepted."""
    return "announced" in log or "waiting for it" in log or ("accept on" in log and " connected" not in log)


def most_wakeups(server, seconds):
    """The most of some attempts, each of so many seconds, or enough: a busy machine may keep it from running."""
    most = 0
    for _ in range(3):
        most = max(most, server.wakeups(seconds))
        if most >= OFTEN * seconds:
            break
    return most


class Waiting:
    """A guest that may have to wait for its hello."""

    def __init__(self, port):
        self._socket = silent(port)
        self._socket.sendall(struct.pack("<III", HELLO, 68, 0) + b"waiting".ljust(64, b"\0") + struct.pack("<I", 0))

    def wait_device(self):
        """Takes what comes up to the announcement, and leaves."""
        with self._socket, self._socket.makefile("rb") as file:
            kind = None
            while kind != DEVICE_CONNECT:
                kind, length, _ = struct.unpack("<III", file.read(12))
                file.read(length)


# MARK: no memory

# Bytes: the longest transfer, and what the server may have more than it has. Small things find room in that.
LONGEST, MARGIN = 8 << 20, 1 << 20
SHORT = 512
TRANSFERS = 4
BUFFERED_BULK_HEADER = 10
# Packets that may come behind a stop: what is on its way, generously.
STOP_TAKES = 100


def no_memory_for_requests(lab):
    """The server may have hardly more memory than it has: what finds no room fails, in its turn, and what needs little goes
    on; afterwards everything does.
    """
    with lab.serving("virtual=source-sink", "port=1-1", options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[1]), Guest(ports[0]) as guest:
        with server.limited(resource.RLIMIT_DATA, (server.data() << 10) + MARGIN):
            for _ in range(2 if lab.is_quick else 8):
                expect("requests", [(1, IOERROR), (2, SUCCESS), (3, IOERROR), (4, SUCCESS)], exchanged(guest))
            expect("bytes received ahead", 0, received_ahead(guest))
        expect("requests", [(1, SUCCESS), (2, SUCCESS), (3, SUCCESS), (4, SUCCESS)], exchanged(guest))
        expect("bytes received ahead", LONGEST, received_ahead(guest))
        told = {line.partition("refused: ")[2] for line in server.log().splitlines() if "no memory" in line}
        lab.note("; ".join(sorted(told - {""})))
    for length in (LONGEST, LONGEST + 10):
        if not any(f"of {length} bytes" in line for line in told):
            raise AssertionError(f"nothing is said of {length} bytes")


def exchanged(guest):
    """Ids and statuses of a long and a short request on each endpoint."""
    guest.send_bulk(1, SOURCE_IN, LONGEST)
    guest.send_bulk(2, SOURCE_IN, SHORT)
    answers = [guest.packet() for _ in range(2)]
    guest.send_bulk(3, SINK_OUT, data=bytes(LONGEST))
    guest.send_bulk(4, SINK_OUT, data=bytes(SHORT))
    answers += [guest.packet() for _ in range(2)]
    return [(answer.id, answer.body[1]) for answer in answers]


def received_ahead(guest):
    """Has the IN endpoint read ahead: the bytes of what it brings first, 0 when that is its end."""
    guest.send(START_BULK_RECEIVING, 0, struct.pack("<IIBB", 0, LONGEST, SOURCE_IN, TRANSFERS))
    expect("status of the start", SUCCESS, guest.answer(BULK_RECEIVING_STATUS, 0)[5])
    brought = len(guest.answer(BUFFERED_BULK_PACKET, 0)) - BUFFERED_BULK_HEADER
    if brought:
        guest.send(STOP_BULK_RECEIVING, 0, struct.pack("<IB", 0, SOURCE_IN))
    if not any(guest.packet().kind == BULK_RECEIVING_STATUS for _ in range(STOP_TAKES)):
        raise AssertionError("the endpoint is not stopped")
    return brought


SCENARIOS = {
    "thousands-of-sessions": thousands,
    "no-descriptors": no_descriptors,
    "no-memory-for-requests": no_memory_for_requests,
}
