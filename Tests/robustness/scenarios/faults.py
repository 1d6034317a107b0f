"""Devices that fail: what the guest is told, that the session goes on, and that the neighbour on the same server misses nothing."""

import contextlib
import struct
import time

from client import BULK_IN, STAMPED, Client, Neighbour
from steps import expect
from usbguest import (ALT_SETTING_STATUS, BULK_PACKET, CONFIGURATION_STATUS, CONTROL_PACKET, DEVICE_DISCONNECT,
                      ENDPOINT_INFO, INTERFACE_INFO, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS, IOERROR, RESET,
                      SET_ALT_SETTING, SET_CONFIGURATION, STALL, SUCCESS)

PORTS = ("port=1-1", "port=1-2")
BABBLE = 6
# More errors than a stream may have: 16 in a row, and before that each of 32 posted transfers may bring a report in between.
ENDLESS = 1000


@contextlib.contextmanager
def scene(lab):
    """A guest that gets reports, on a device that something is about to happen to; its neighbour misses nothing."""
    with lab.serving(*PORTS, options=STAMPED) as (simulation, server, ports), \
            Neighbour(ports[1]) as neighbour, Client(ports[0]) as guest:
        guest.start()
        guest.wait_reports(100)
        yield simulation, guest
        works(guest)
        # What sleeps does so for longer: who waited for it would show.
        if neighbour.longest_gap > 0.75 * sleep_of(lab) / 1000:
            raise AssertionError(f"the neighbour had no report for {neighbour.longest_gap:.1f} s")
        lab.note(f"the neighbour's longest gap: {neighbour.longest_gap * 1000:.0f} ms")


def works(guest):
    """Reports, bulk and control do what they should."""
    guest.wait_reports(100)
    expect("bulk IN", (SUCCESS, 512), guest.bulk_in(9001, 512))
    expect("control", SUCCESS, control(guest, 9002))


def control(guest, id):
    """Reads the device descriptor; the answer's status."""
    guest.send(CONTROL_PACKET, id, struct.pack("<BBBBHHH", 0x80, 6, 0x80, 0, 0x100, 0, 18))
    return guest.wait(CONTROL_PACKET, id=id).body[3]


def until_ended(guest):
    """A stream that cannot go on: a packet first, then its status (B4.6)."""
    most = len(guest.errors) + ENDLESS
    while guest.wait(INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS).kind == INTERRUPT_PACKET:
        if len(guest.errors) > most:
            raise AssertionError(f"{ENDLESS} errors do not end the stream")
    expect("the stream's last packet", [STALL], guest.errors[-1:])


# MARK: streams


def stall(lab):
    with scene(lab) as (simulation, guest):
        for round in range(5):
            simulation.tell("fault", "urb-81:stall", 0)
            while guest.restarts == round:
                guest.wait(INTERRUPT_PACKET)
            guest.wait_reports(50)
        expect("errors told", [], guest.errors)


def stall_storm(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "urb-81:stallx0", 0)
        until_ended(guest)
        simulation.tell("fault", "none", 0)
        guest.start()


def halt_stays(lab):
    """The endpoint stalls, and its halt cannot be cleared."""
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "clear-halt:epipe", 0)
        simulation.tell("fault", "urb-81:stall", 0)
        until_ended(guest)
        guest.start()


def five_failures(lab, kind, status):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", f"urb-81:{kind}x5", 0)
        while len(guest.errors) < 5:
            guest.wait(INTERRUPT_PACKET)
        expect("statuses", [status] * 5, guest.errors)


def errors(lab):
    five_failures(lab, "ioerror", IOERROR)


def babble(lab):
    five_failures(lab, "babble", BABBLE)


def error_storm(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "urb-81:ioerrorx0", 0)
        until_ended(guest)
        # Restarted at once, as QEMU does: nobody is kept busy by it.
        for _ in range(3):
            guest.start()
            until_ended(guest)
        simulation.tell("fault", "none", 0)
        guest.start()


def no_memory(lab):
    """usbfs has no memory for some transfers, then for none."""
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "urb-81:enomemx3", 0)
        simulation.wait_for_faults(0, 3)
        guest.wait_reports(200)
        simulation.tell("fault", "urb-81:enomemx0", 0)
        until_ended(guest)
        simulation.tell("fault", "none", 0)
        guest.start()


# MARK: requests


def requests(lab):
    """Each kind of request fails, one at a time and all."""
    statuses = {"stall": STALL, "ioerror": IOERROR, "babble": BABBLE, "eio": IOERROR, "enomem": IOERROR}
    with scene(lab) as (simulation, guest):
        for fault, status in statuses.items():
            simulation.tell("fault", f"urb-82:{fault}", 0)
            simulation.tell("fault", f"urb-00:{fault}", 0)
            expect(f"bulk IN, {fault}", (status, 0), guest.bulk_in(1, 4096))
            expect(f"control, {fault}", status, control(guest, 2))
            works(guest)


def request_storm(lab):
    """A hundred bulk requests in flight on an endpoint that only stalls: an answer each, in their order."""
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "urb-82:stallx0", 0)
        for id in range(100):
            guest.send_bulk(id, BULK_IN, 4096)
        for id in range(100):
            expect("status", STALL, guest.wait(BULK_PACKET, id=id).body[1])
        simulation.tell("fault", "none", 0)


# MARK: calls that sleep, and that fail


def sleep_of(lab):
    """Milliseconds, and by far more than a busy machine takes from anybody."""
    return 5000 if lab.is_quick else 8000


def reset_sleeps(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", f"reset:hang={sleep_of(lab)}", 0)
        guest.send(RESET, 0)
        expect("control behind the reset", SUCCESS, control(guest, 1))
        guest.wait_reports(10)
        expect("restarts", 1, guest.restarts)


def reset_not_found(lab):
    """libusb's NOT_FOUND: the descriptors changed."""
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "reset:enodev", 0)
        guest.send(RESET, 0)
        guest.wait(DEVICE_DISCONNECT)
        guest.acknowledge()
        guest.connected()
        guest.start()


def reset_fails(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "reset:eio", 0)
        guest.send(RESET, 0)
        expect("control behind the reset", SUCCESS, control(guest, 1))


def set_interface(guest, id):
    guest.send(SET_ALT_SETTING, id, bytes([0, 0]))
    for kind in (ENDPOINT_INFO, INTERFACE_INFO):
        guest.wait(kind)
    return guest.wait(ALT_SETTING_STATUS, id=id).body[0]


def set_interface_sleeps(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", f"set-interface:hang={sleep_of(lab)}", 0)
        expect("the status", SUCCESS, set_interface(guest, 1))
        guest.start()


def set_interface_fails(lab):
    with scene(lab) as (simulation, guest):
        for fault, status in (("epipe", STALL), ("eio", IOERROR)):
            simulation.tell("fault", f"set-interface:{fault}", 0)
            found = set_interface(guest, 1)
            if found == SUCCESS:
                raise AssertionError(f"set_interface with {fault} succeeds")
            guest.start()
            works(guest)


def set_configuration(guest, id, value):
    guest.send(SET_CONFIGURATION, id, bytes([value]))
    for kind in (ENDPOINT_INFO, INTERFACE_INFO):
        guest.wait(kind)
    return tuple(guest.wait(CONFIGURATION_STATUS, id=id).body)


def set_configuration_sleeps_and_fails(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "set-configuration:eio", 0)
        expect("a failure", (IOERROR, 1), set_configuration(guest, 1, 0))
        simulation.tell("fault", f"set-configuration:hang={sleep_of(lab)}", 0)
        expect("unconfigured", (SUCCESS, 0), set_configuration(guest, 2, 0))
        expect("configured", (SUCCESS, 1), set_configuration(guest, 3, 1))
        guest.start()


def unplugged_in_its_sleep(lab):
    with scene(lab) as (simulation, guest):
        simulation.tell("fault", "reset:hang=600000", 0)
        guest.send(RESET, 0)
        simulation.wait_for_faults(0, 1)
        time.sleep(0.2)
        simulation.tell("unplug", 0)
        guest.gone_and_back(simulation, 0)
        guest.start()


SCENARIOS = {
    "stall": stall,
    "stall-storm": stall_storm,
    "halt-that-stays": halt_stays,
    "errors": errors,
    "babble": babble,
    "error-storm": error_storm,
    "no-memory": no_memory,
    "requests-that-fail": requests,
    "request-storm": request_storm,
    "reset-sleeps": reset_sleeps,
    "reset-not-found": reset_not_found,
    "reset-fails": reset_fails,
    "set-interface-sleeps": set_interface_sleeps,
    "set-interface-fails": set_interface_fails,
    "set-configuration-sleeps-and-fails": set_configuration_sleeps_and_fails,
    "unplugged-in-its-sleep": unplugged_in_its_sleep,
}
