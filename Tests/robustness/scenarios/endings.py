"""Ends of the server and of guests while a device is in the middle of something."""

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
            guest.start()
            guest.wait_reports(100)
            simulation.tell("fault", f"reset:hang={sleep}", 0)
            guest.send(RESET, 0)
            simulation.wait_for_faults(0, 1)
        with Client(ports[0]) as guest:
            guest.start()
            guest.wait_reports(100)
            expect("control", SUCCESS, control(guest, 1))
        lab.note(f"the neighbour's longest gap: {neighbour.longest_gap * 1000:.0f} ms")


SCENARIOS = {
    "busy-when-opened": busy_when_opened,
    "guest-leaves-a-sleeping-device": guest_leaves_a_sleeping_device,
}
