"""SIGTERM at any moment: the server ends well and soon, and the device has its kernel driver again."""

import contextlib
import time

from client import BULK_IN, STAMPED, Client
from scenarios.vanishing import given_back, silent
from steps import expect
from usbguest import DEVICE_DISCONNECT, RESET

# Seconds that an end may take, once in some attempts, since a machine may stand still; a request that sleeps is waited for
# before they begin.
SOON, ATTEMPTS, SLEEP = 2, 3, 1.5


def connected(simulation, port, stack):
    """A connection that has said nothing."""
    stack.enter_context(silent(port))


def greeted(simulation, port, stack):
    return stack.enter_context(Client(port))


def receiving(simulation, port, stack):
    guest = greeted(simulation, port, stack)
    guest.start()
    guest.wait_reports(100)
    return guest


def not_reading(simulation, port, stack):
    """Reports and answers wait for a guest that takes none."""
    guest = receiving(simulation, port, stack)
    for id in range(64):
        guest.send_bulk(id, BULK_IN, 65536)
    time.sleep(0.2)


def bulk(simulation, port, stack):
    guest = receiving(simulation, port, stack)
    for id in range(16):
        guest.send_bulk(id, BULK_IN, 65536)


def asleep(request):
    """Somewhere in opening the device this request sleeps."""
    def moment(simulation, port, stack):
        simulation.tell("fault", f"{request}:hang={int(SLEEP * 1000)}", 0)
        stack.enter_context(Client(port, expects_device=False))
        simulation.wait_for_faults(0, 1)
    return moment


def asleep_in_reset(simulation, port, stack):
    guest = receiving(simulation, port, stack)
    simulation.tell("fault", f"reset:hang={int(SLEEP * 1000)}", 0)
    guest.send(RESET, 0)
    simulation.wait_for_faults(0, 1)


def unplugged(simulation, port, stack):
    guest = receiving(simulation, port, stack)
    simulation.tell("unplug", 0)
    guest.wait(DEVICE_DISCONNECT)
    return guest


def plugged_again(simulation, port, stack):
    """The device is there again, and being opened or about to be."""
    unplugged(simulation, port, stack).acknowledge()
    simulation.tell("plug", 0)


def plugged_again_unacknowledged(simulation, port, stack):
    unplugged(simulation, port, stack)
    simulation.tell("plug", 0)


MOMENTS = {
    "without a guest": (lambda *_: None, 0),
    "before the guest's hello": (connected, 0),
    "with the device": (greeted, 0),
    "receiving": (receiving, 0),
    "with a guest that does not read": (not_reading, 0),
    "with bulk requests in flight": (bulk, 0),
    "in a reset": (asleep_in_reset, SLEEP),
    "claiming an interface": (asleep("claim"), SLEEP),
    "asking while opening": (asleep("any"), SLEEP),
    "unplugged": (unplugged, 0),
    "plugged in again": (plugged_again, 0),
    "plugged in again, not acknowledged": (plugged_again_unacknowledged, 0),
}


def end_at(lab, name):
    """Ends a server at this moment; seconds that it took beside a request that sleeps."""
    moment, sleep = MOMENTS[name]
    with lab.serving("port=1-1", devices=1, options=STAMPED) as (simulation, server, ports), \
            contextlib.ExitStack() as stack:
        moment(simulation, ports[0], stack)
        is_there = simulation.counters(0)["present"]
        start = time.monotonic()
        expect(f"{name}: exit status", 0, server.stop())
        took = max(time.monotonic() - start - sleep, 0)
        if is_there:
            expect(f"{name}: the device is given back", True, given_back(simulation.counters(0)))
    return took


def at_any_moment(lab):
    longest = 0.0
    for name in MOMENTS:
        attempts = 1
        while (took := end_at(lab, name)) > SOON:
            if attempts == ATTEMPTS:
                raise AssertionError(f"{name}: it took {took:.1f} s, at each of {ATTEMPTS} attempts more than {SOON}")
            attempts += 1
        longest = max(longest, took)
    lab.note(f"{len(MOMENTS)} moments; beside sleeping requests it took {longest * 1000:.0f} ms at most")


SCENARIOS = {"server-ends-at-any-moment": at_any_moment}
