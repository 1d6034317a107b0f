"""Ends of guests and of the server while a device is in the middle of something."""

import time

from client import STAMPED, Client, Neighbour
from scenarios.faults import control
from steps import expect
from usbguest import RESET, SUCCESS

PORTS = ("port=1-1", "port=1-2")


def busy_when_opened(lab):
    """The interface is somebody else's for a moment, then it is ours, without a new connection."""
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Neighbour(ports[1]):
        simulation.tell("fault", "claim:ebusyx3", 0)
        with Client(ports[0]) as guest:
            guest.start()
            guest.wait_reports(100)


def guest_leaves_a_sleeping_device(lab):
    """The guest vanishes while its device is in a reset; the next one has the device when the reset is over."""
    sleep = 2000 if lab.is_quick else 5000
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Neighbour(ports[1]) as neighbour:
        with Client(ports[0]) as guest:
            put_to_sleep(simulation, guest, sleep)
        with Client(ports[0]) as guest:
            guest.start()
            guest.wait_reports(100)
            expect("control", SUCCESS, control(guest, 1))
        lab.note(f"the neighbour's longest gap: {neighbour.longest_gap * 1000:.0f} ms")


def server_ends_beside_a_sleeping_device(lab):
    """SIGTERM while a device is in a reset: it is waited for and given back, and the server ends well."""
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Client(ports[0]) as guest:
        put_to_sleep(simulation, guest, 1500)
        start = time.monotonic()
    lab.note(f"ended after {time.monotonic() - start:.1f} s")


def server_ends_beside_a_device_that_never_wakes(lab):
    """The same, and the reset never ends: the server says so and ends without the device."""
    start = time.monotonic()
    try:
        with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), Client(ports[0]) as guest:
            put_to_sleep(simulation, guest, 600_000)
            start = time.monotonic()
    except AssertionError as error:
        expect("the end", "the server ended with status 1", str(error).split(":")[0])
        if "a device was not given back within 10 s" not in server.log():
            raise
    else:
        raise AssertionError("the server ended as if it had given the device back")
    lab.note(f"ended after {time.monotonic() - start:.1f} s")


def put_to_sleep(simulation, guest, milliseconds):
    guest.start()
    guest.wait_reports(100)
    simulation.tell("fault", f"reset:hang={milliseconds}", 0)
    guest.send(RESET, 0)
    simulation.wait_for_faults(0, 1)


SCENARIOS = {
    "busy-when-opened": busy_when_opened,
    "guest-leaves-a-sleeping-device": guest_leaves_a_sleeping_device,
    "server-ends-beside-a-sleeping-device": server_ends_beside_a_sleeping_device,
    "server-ends-beside-a-device-that-never-wakes": server_ends_beside_a_device_that_never_wakes,
}
