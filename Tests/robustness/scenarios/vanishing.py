"""Guests that vanish, in each way in which a connection can end, or not end: the device goes back to its kernel driver each
time, and the next guest has it.
"""

import time

from client import BULK_IN, STAMPED, Client, Neighbour
from connections import HELLO_LENGTH, WAYS, greet, reset, silent, until_closed
from simulated import wait_until
from steps import expect

PORTS = ("port=1-1", "port=1-2")


def given_back(counters):
    return (counters["open"], counters["claimed"], counters["bound"]) == (0, 0, 2)


def wait_given_back(simulation):
    wait_until(lambda: given_back(simulation.counters(0)), "the device's return to its kernel driver")


def busy_guest(port):
    """Reports and bulk answers are on their way to it."""
    guest = Client(port)
    guest.start()
    guest.wait_reports(20)
    for id in range(8):
        guest.send_bulk(id, BULK_IN, 65536)
    return guest


def works(port):
    """The next guest has all that the device has."""
    with busy_guest(port) as guest:
        guest.wait_bulk(8)
        guest.wait_reports(100)


def in_each_way(lab):
    rounds = 3 if lab.is_quick else 30
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Neighbour(ports[1]):
        for _ in range(rounds):
            for way in WAYS.values():
                guest = busy_guest(ports[0])
                expect("the device is with its kernel driver", False, given_back(simulation.counters(0)))
                way(guest._socket)
                wait_given_back(simulation)
                guest._socket.close()
        works(ports[0])
        lab.note(f"{rounds} times each: {', '.join(WAYS)}")


def storm(lab):
    """Connections one after the other, silent or greeted, closed or reset; then a guest as always."""
    count = 300 if lab.is_quick else 1000
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Neighbour(ports[1]) as neighbour:
        files = server.descriptors()
        for number in range(count):
            connection = silent(ports[0])
            if number % 2:
                greet(connection)
            reset(connection) if number % 4 < 2 else connection.close()
        wait_given_back(simulation)
        wait_until(lambda: server.descriptors() <= files, "the end of all connections")
        works(ports[0])
        lab.note(f"{count} connections; the neighbour's longest gap: {neighbour.longest_gap * 1000:.0f} ms")


def second_guest(lab):
    """It is refused while the first one has the device; with `takeover` it gets it."""
    with lab.serving("port=1-1", "port=1-2,takeover", options=STAMPED) as (simulation, server, ports):
        with busy_guest(ports[0]) as first:
            with silent(ports[0]) as second:
                expect("the second guest reads", b"", until_closed(second))
            first.wait_bulk(8)
            first.wait_reports(100)
        wait_given_back(simulation)
        with busy_guest(ports[1]) as first, Client(ports[1]) as second:
            second.start()
            second.wait_reports(100)
            until_closed(first._socket)


def hello_timeout(lab):
    """A guest that says nothing keeps its place for so long, and then gives way."""
    with lab.serving("port=1-1,hello-timeout=5", devices=1, options=STAMPED) as (simulation, server, ports), \
            silent(ports[0]) as mute:
        with silent(ports[0]) as early:
            expect("the early guest reads", b"", until_closed(early))
        expect("the device is not opened", True, given_back(simulation.counters(0)))
        time.sleep(5.1)
        works(ports[0])
        expect("the silent guest reads its hello alone", HELLO_LENGTH, len(until_closed(mute)))
        wait_given_back(simulation)


SCENARIOS = {
    "guest-vanishes": in_each_way,
    "reconnect-storm": storm,
    "second-guest": second_guest,
    "hello-timeout": hello_timeout,
}
