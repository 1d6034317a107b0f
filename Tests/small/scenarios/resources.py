"""What the server costs: start-up, resident memory with one device and with sixteen, wake-ups while nothing happens.

Under qemu-user memory is the emulator's as well, so it is reported and not held there.
"""

import contextlib
import time

from ports import free_port, free_ports
from steps import expect
from usbguest import SUCCESS, Guest

DEVICES = 16
# KiB.
ONE_DEVICE, ALL_DEVICES, BUSY = 4 << 10, 6 << 10, 64 << 10
# For small memory: what docs/BOARDS.md recommends.
OPTIONS = "max-transfer=1M,max-request-bytes=2M,interrupt-depth=4"
TRANSFER, IN_FLIGHT = 1 << 20, 2
# Seconds. A connection is looked at once more five seconds after something was sent.
SETTLING, QUIET, LONGER = 6, 5, 20


def run(bench):
    started = min(start_time(bench) for _ in range(5))
    with bench.binary.serve(bench.log, *exports([free_port()])) as server:
        one = server.memory()[0]
    ports = free_ports(DEVICES)
    with bench.binary.serve(bench.log, *exports(ports)) as server, contextlib.ExitStack() as stack:
        idle = server.memory()[0]
        guests = [stack.enter_context(Guest(port)) for port in ports]
        quiet = wakeups(server)
        transfer(guests)
        most = server.memory()[1]
    print(f"  ready after {started * 1000:.1f} ms; resident: 1 device {one} KiB, {DEVICES} devices {idle} KiB,"
          f" with a busy guest at each {most} KiB")
    expect(f"wake-ups in {QUIET} s with quiet guests", 0, quiet)
    if not bench.is_emulated:
        for limit, found in ((ONE_DEVICE, one), (ALL_DEVICES, idle), (BUSY, most)):
            if found > limit:
                raise AssertionError(f"{found} KiB are resident, {limit} were allowed")


def start_time(bench):
    with bench.binary.serve(bench.log, *exports([free_port()])) as server:
        return server.start_time


def exports(ports):
    return [f"virtual=source-sink,listen=127.0.0.1:{port},{OPTIONS}" for port in ports]


def transfer(guests):
    """Each asks for as much as it may hold at once, before any takes what it asked for."""
    for guest in guests:
        for id in range(IN_FLIGHT):
            guest.send_bulk(id, 0x81, TRANSFER)
    for guest in guests:
        for id in range(IN_FLIGHT):
            expect("bulk IN", SUCCESS, guest.bulk_answer(id)[0])


def wakeups(server):
    """In some seconds, after those in which what was begun may end. On a busy machine that may take longer: then a longer
    look decides.
    """
    time.sleep(SETTLING)
    if server.wakeups(QUIET) == 0:
        return 0
    return server.wakeups(LONGER)
