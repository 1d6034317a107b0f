"""Guests that do not read, or hardly, or send without reading: memory stays within the budget, reports and bulk data are all
there afterwards, isochronous packets are dropped and counted, everything flows again on the same connection.
"""

import re
import select
import struct
import time

from client import BULK_IN, STAMPED, Client, Neighbour
from simulated import PATIENCE, wait_until
from usbguest import (ALT_SETTING_STATUS, BULK_PACKET, CONTROL_PACKET, ENDPOINT_INFO, INTERFACE_INFO,
                      INTERRUPT_PACKET, ISO_PACKET,
                      ISO_STREAM_STATUS, SET_ALT_SETTING, START_ISO_STREAM, STOP_ISO_STREAM, SUCCESS)

# KiB that the server may grow by: what waits for the socket (1 MiB), the requests that the guest has out, and their pools.
OUTPUT, SOME = 1 << 10, 2 << 10
IN_FLIGHT, LENGTH = 64, 65536
PORTS = ("port=1-1", "port=1-2")
# Bulk data of simulated devices is hardly written, so hardly resident; that of the server's own source is.
SOURCE, SOURCE_IN = ("virtual=source-sink", "port=1-2"), 0x81


def seconds(lab):
    return 6 if lab.is_quick else 60


def not_reading(lab):
    """A guest that stops reading, with reports and bulk requests on their way."""
    paused(lab, lambda guest: time.sleep(0.5))


def trickling(lab):
    """A guest that reads a byte a second."""
    paused(lab, trickle)


def trickle(guest):
    guest._bytes += guest._socket.recv(1)
    time.sleep(1)


def paused(lab, pause):
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[1]) as neighbour, Client(ports[0]) as guest:
        guest.start()
        guest.wait_reports(100)
        before = server.memory()[0]
        for id in range(IN_FLIGHT):
            guest.send_bulk(id, BULK_IN, LENGTH)
        most = sample(server, seconds(lab), lambda: pause(guest))
        held = simulation.counters(0)["pending"]
        read_on(guest, {id: LENGTH for id in range(IN_FLIGHT)})
        counters = simulation.counters(0)
        expect_none("reports lost by the device", counters["lost"])
        expect_none("reports missing", guest.missing)
        expect_none("restarts", guest.restarts)
        status, length = guest.bulk_in(1000)
        if (status, length) != (SUCCESS, LENGTH):
            raise AssertionError(f"bulk afterwards: status {status}, {length} bytes")
        within(most - before, OUTPUT + IN_FLIGHT * LENGTH // 1024 + SOME)
        if "for the guest to read" not in server.log():
            raise AssertionError("the log does not say that the device waited")
        lab.note(f"{seconds(lab)} s: the server grew by {most - before} KiB; {held} of {guest.reports} reports waited in the "
                 f"device, none was lost; the neighbour's longest gap: {neighbour.longest_gap * 1000:.0f} ms")


def read_on(guest, answers):
    """Takes everything, until what comes is fresh and all of these bulk requests have their answer, in their order."""
    last = -1
    while answers or guest.age() > 0.1:
        packet = guest.wait(BULK_PACKET, INTERRUPT_PACKET)
        if packet.kind != BULK_PACKET:
            continue
        if packet.id <= last or len(packet.body) - 10 != answers.pop(packet.id) or packet.body[1] != SUCCESS:
            raise AssertionError(f"the answer to bulk request {packet.id} behind {last}: status {packet.body[1]}, "
                                 f"{len(packet.body) - 10} bytes")
        last = packet.id


def sample(server, seconds, pause):
    """The most that is resident while it pauses again and again, KiB."""
    most, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        pause()
        most = max(most, server.memory()[0])
    return most


def within(found, limit):
    if found > limit:
        raise AssertionError(f"the server grew by {found} KiB, {limit} were allowed")


def expect_none(what, count):
    if count:
        raise AssertionError(f"{what}: {count}")


def isochronous(lab):
    """An isochronous stream whose guest stops reading: what it does not read in time is dropped and counted."""
    with lab.serving("virtual=source-sink", devices=1) as (_, server, ports):
        with Client(ports[0]) as guest:
            guest.send(SET_ALT_SETTING, 0, bytes([0, 1]))
            for kind in (ENDPOINT_INFO, INTERFACE_INFO, ALT_SETTING_STATUS):
                guest.wait(kind)
            guest.send(START_ISO_STREAM, 0, bytes([0x82, 8, 4]))
            guest.wait(ISO_STREAM_STATUS)
            before = server.memory()[0]
            most = sample(server, seconds(lab), lambda: time.sleep(0.5))
            last = missing = 0
            end = time.monotonic() + 2
            # Until what it had no time for is read: the drops before a packet show by the packet.
            while time.monotonic() < end or (guest.has_more() and time.monotonic() < end + PATIENCE):
                packet = guest.wait(ISO_PACKET)
                missing += packet.id - last - 1 if packet.id > 0 else 0
                last = packet.id
            guest.send(STOP_ISO_STREAM, 0, bytes([0x82]))
            while (packet := guest.wait(ISO_PACKET, ISO_STREAM_STATUS)).kind == ISO_PACKET:
                missing += packet.id - last - 1
                last = packet.id
        wait_until(lambda: "iso packets dropped" in server.log(), "the session's end")
        dropped = int(re.search(r"(\d+) iso packets dropped", server.log())[1])
        if missing == 0 or dropped != missing:
            raise AssertionError(f"{missing} isochronous packets are missing, {dropped} were counted")
        if "dropping packets of" not in server.log():
            raise AssertionError("the log does not say that packets are dropped")
        within(most - before, OUTPUT + SOME)
        lab.note(f"{seconds(lab)} s: the server grew by {most - before} KiB; {missing} of {last + 1} packets were dropped, and "
                 f"counted")


def requests_without_reading(lab):
    """A guest that sends requests as fast as it can, within what it may have out, and reads nothing."""
    count = 1000
    with lab.serving(*SOURCE, options=STAMPED) as (_, server, ports), Neighbour(ports[1]), Client(ports[0]) as guest:
        before = server.memory()[0]
        for id in range(count):
            guest.send_bulk(id, SOURCE_IN, LENGTH)
        most = sample(server, seconds(lab), lambda: time.sleep(0.5))
        for id in range(count):
            answer = guest.wait(BULK_PACKET, id=id).body
            if answer[1] != SUCCESS or len(answer) - 10 != LENGTH:
                raise AssertionError(f"the answer to request {id}: status {answer[1]}, {len(answer) - 10} bytes")
        within(most - before, OUTPUT + count * LENGTH // 1024 + SOME)
        lab.note(f"{count} requests of {LENGTH} bytes: the server grew by {most - before} KiB; all were answered in their order")


def flood(lab, pause=0):
    """A guest that sends without end and reads nothing: it is held up, or is sent away; the next one finds the device."""
    with lab.serving(*SOURCE, options=STAMPED) as (_, server, ports), Neighbour(ports[1]):
        before = server.memory()[0]
        with Client(ports[0]) as guest:
            sent = pour(guest, seconds(lab), pause)
        most = server.memory()[1]
        with Client(ports[0]) as guest:
            guest.send_bulk(1, SOURCE_IN, LENGTH)
            guest.wait(BULK_PACKET, id=1)
        within(most - before, (64 << 10) + OUTPUT + SOME)
        end = "it was sent away" if "too many bad packets" in server.log() else "it was held up"
        lab.note(f"{sent} KiB of requests, then {end}: the server grew by {most - before} KiB at most")


def paced_flood(lab):
    """The same in portions that are answered before the next: only what waits for the guest can hold it up."""
    flood(lab, pause=0.02)


def pour(guest, seconds, pause):
    """Sends bulk and control requests for so long, a hundred of each at once, or until the server has had enough; KiB sent."""
    bulk = struct.pack("<IIQ", BULK_PACKET, 10, 7) + guest.bulk_header(SOURCE_IN, LENGTH)
    control = struct.pack("<IIQBBBBHHH", CONTROL_PACKET, 10, 8, 0x80, 6, 0x80, 0, 0x100, 0, 18)
    packets = (bulk + control) * 100
    guest._socket.setblocking(False)
    sent = offset = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        select.select([], [guest._socket], [], 0.2)
        try:
            count = guest._socket.send(packets[offset:])
        except BlockingIOError:
            count = 0
        except (ConnectionResetError, BrokenPipeError):
            break
        sent, offset = sent + count, (offset + count) % len(packets)
        time.sleep(pause)
    return sent // 1024


def slow_sender(lab):
    """A guest whose packets come a byte a second: it is waited for, and nobody waits with it."""
    with lab.serving(*PORTS, options=STAMPED) as (_, server, ports), Neighbour(ports[1]), Client(ports[0]) as guest:
        guest.start()
        packet = struct.pack("<IIQBBBBHHH", CONTROL_PACKET, 10, 8, 0x80, 6, 0x80, 0, 0x100, 0, 18)
        slow = packet[:10 if lab.is_quick else -1]
        for byte in slow:
            guest._socket.sendall(bytes([byte]))
            guest.wait_reports(900)
        guest._socket.sendall(packet[len(slow):])
        answer = guest.wait(CONTROL_PACKET, id=8)
        if len(answer.body) != 10 + 18:
            raise AssertionError(f"the control transfer brought {len(answer.body) - 10} bytes")
        expect_none("reports missing", guest.missing)


SCENARIOS = {
    "guest-not-reading": not_reading,
    "guest-reading-a-byte-a-second": trickling,
    "guest-not-reading-isochronous": isochronous,
    "guest-with-1000-requests": requests_without_reading,
    "guest-flooding": flood,
    "guest-flooding-in-portions": paced_flood,
    "guest-sending-a-byte-a-second": slow_sender,
}
