"""Guests that vanish, in each way: the keyboard is back with A's driver, and the next guest has it.

    machine A (usb-host)                                                                  this process
    f_hid gadgets ─▶ dummy_hcd ─▶ usbfs ─▶ server :4000… ◀─ near cable ─ hub ─ far cable ─ hostfwd ─ usb-guests

A connection whose guest was switched off looks like one of which the far cable was pulled out: no packet comes.
"""

import contextlib
import re

from connections import WAYS, reset, silent, until_closed
from keyboardguest import KeyboardGuest
from lab import FAR_CABLE, NEAR_CABLE
from ports import free_ports
from seat import KEYS, Seat
from steps import expect, wait_until

COUNT = 3
FEW_KEYS = KEYS[:5]
# So many reports have come when a guest vanishes amid them.
AMID = 20
STORM = 1000

# What the server logs of each guest that has come.
CONNECTED = re.compile(r"(?m): guest .* connected$")

# The first guest is silent for as long as it likes, the second gives way, the third has to.
OPEN_ENDED = ["hello-timeout=60", "hello-timeout=1", "takeover"]
# The first two are given up by what is called so here, the third with the server's defaults survives the same.
SHORT_LIVED = ["keepalive=1:1:2", "keepalive=off,user-timeout=3", "name=patient"]


def run(lab):
    ports = free_ports(COUNT)
    host = lab.usb_host(*ports)

    with lab.step("A's own driver has the keyboards"):
        host.booted().run("udevd --daemon")
        seats = [Seat(host, number, port) for number, port in enumerate(ports)]
        for seat in seats:
            seat.wait_back()

    def serve(options):
        return lab.serve_in(host, [f"{seat.selector},{words}" for seat, words in zip(seats, options)])

    with lab.step("the server listens"):
        server = serve(OPEN_ENDED)
    leave(lab, seats[0])
    return_without_memory(lab, host, server, seats[0])
    come_second(lab, *seats)
    storm(lab, host, server, seats[0])
    with lab.step("after SIGTERM amid reports the server ends with status 0, and A's driver has the keyboards again"):
        with seats[0].typing(), seats[0].guest() as guest:
            take_some(guest)
            stop(server, seats)
            guest.wait_closed()

    with lab.step("the server listens again, with short times"):
        server = serve(SHORT_LIVED)
    for cable, what in ((FAR_CABLE, "nothing comes from the guests any more"), (NEAR_CABLE, "A's cable is pulled out")):
        fall_silent(lab, host, server, seats, cable, what)
    with lab.step("after SIGTERM the server ends with status 0"):
        stop(server, seats)


def stop(server, seats):
    expect("status", 0, server.stop())
    for seat in seats:
        seat.wait_back()


def take_some(guest):
    for _ in range(AMID):
        guest.take_report()


def leave(lab, seat):
    for name, way in WAYS.items():
        with lab.step(f"a guest vanishes amid reports: {name}"):
            with seat.guest() as guest:
                with seat.typing():
                    take_some(guest)
                    guest.vanish(way)
                    seat.wait_back()
            seat.serves()


def return_without_memory(lab, host, server, seat):
    """What a machine does that was switched off and on again: it answers with RST."""
    with lab.step("a guest's machine forgets the connection: RST for the next report"):
        ends = Ends(server)
        guest = seat.guest()
        with cut(host, FAR_CABLE):
            expect("QEMU's network knows the connection", True, host.has_connection(seat.port))
            guest.vanish(reset)
            wait_until(lambda: not host.has_connection(seat.port), 60, "QEMU's network forgets the connection")
            expect("driver in A", "usbfs", seat.driver())
        seat.type(FEW_KEYS)
        seat.wait_back()
        ends.expect("Connection reset by peer")
        seat.serves()


def come_second(lab, lasting, yielding, taken_over):
    with lab.step("a second guest is refused, the first goes on"), lasting.guest() as first:
        lasting.works(first)
        with silent(lasting.port) as second:
            expect("bytes for the second guest", b"", until_closed(second))
        lasting.works(first)

    with lab.step("with takeover the first is sent away, the second has the keyboard"), taken_over.guest() as first:
        taken_over.works(first)
        with taken_over.guest() as second:
            first.wait_closed()
            taken_over.works(second)

    with lab.step("a silent guest gives way when its time is over, and not before"), \
            silent(lasting.port), silent(yielding.port) as mute:
        with wait_until(lambda: served(yielding), 60, "the silent guest gives way") as guest:
            until_closed(mute)
            yielding.works(guest)
        with silent(lasting.port) as later:
            expect("bytes for the guest behind the earlier one", b"", until_closed(later))

    for seat in (lasting, yielding, taken_over):
        seat.wait_back()


def served(seat):
    """A guest that has the keyboard; None if it was refused."""
    with contextlib.suppress(AssertionError, ConnectionError):
        return KeyboardGuest(seat.port)


def storm(lab, host, server, seat):
    with lab.step(f"{STORM} connections one behind the other, and nothing is left of them"):
        before = server.descriptors()
        # Within A: QEMU's network takes its time for each of them.
        answered = host.run(f"storm 4000 {STORM}", timeout=120)
        wait_until(lambda: not server.connections(4000), 60, "the end of the last one")
        seat.wait_back()
        wait_until(lambda: server.descriptors() <= before, 60, f"no more than {before} descriptors in the server")
        lab.report(f"of {STORM} connections {answered} were answered; {before} descriptors")
        seat.serves()


@contextlib.contextmanager
def cut(host, cable):
    host.set_link(cable, False)
    try:
        yield
    finally:
        host.set_link(cable, True)


def fall_silent(lab, host, server, seats, cable, what):
    idle, unacknowledged, patient = seats
    ends = Ends(server)
    with contextlib.ExitStack() as guests:
        with lab.step(f"{what}: the idle guest and the one with reports on their way are given up"):
            # The first to hear nothing: it would be the first to go if the others' options did nothing.
            remaining = guests.enter_context(patient.guest())
            patient.works(remaining)
            for seat in (idle, unacknowledged):
                seat.works(guests.enter_context(seat.guest()))
            with cut(host, cable):
                unacknowledged.type(FEW_KEYS)
                for seat in (idle, unacknowledged):
                    seat.wait_back()
                ends.expect("Connection timed out", times=2)
                patient.type(FEW_KEYS)
                expect("driver of the patient export's device", "usbfs", patient.driver())
        with lab.step(f"{what}, and again: the guest with more patience has lost nothing, new ones are served"):
            remaining.take_keys(FEW_KEYS)
            patient.works(remaining)
            for seat in (idle, unacknowledged):
                seat.serves()
    patient.wait_back()


class Ends:
    """Lines of the server's log about guests that are gone, from now on. Nobody is connected now."""

    def __init__(self, server):
        self._server = server
        # That of the last guest may still be missing: the device has its driver again a moment earlier.
        wait_until(lambda: len(self._lines()) == len(CONNECTED.findall(server.log())), 60, "the last guest's end is logged")
        self._before = len(self._lines())

    def expect(self, reason, times=1):
        # A line comes when all is done, a moment behind the driver.
        wait_until(lambda: len(self._lines()) >= self._before + times, 60, f"{times} lines with '{reason}'")
        lines = self._lines()[self._before:]
        if len(lines) != times or not all(reason in line for line in lines):
            raise AssertionError(f"expected {times} lines with '{reason}': {lines}")

    def _lines(self):
        return [line for line in self._server.log().splitlines() if ": ended: " in line]
