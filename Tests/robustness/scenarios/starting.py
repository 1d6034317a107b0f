"""A server that starts with too little: it ends with one line that says what to do, or serves."""

import os
import resource

from ports import free_ports
from server import NotStarted, Program
from steps import expect
from usbguest import Guest

# What the program's loader needs, beside the standard ones.
FEWEST_DESCRIPTORS = 4
# More than a server needs.
ENOUGH_DESCRIPTORS = 64
ADVICE = "Too many open files; raise the limit (ulimit -n)"


def without_descriptors(lab):
    """It may have one descriptor more each time, until it serves; then a guest gets its device as soon as there are enough.
    The same as an ordinary user, for whom the server looks when all else is open.
    """
    ports = free_ports(2)
    exports = [f"{device},listen=127.0.0.1:{port}" for device, port in zip(("virtual=echo", "port=1-1"), ports)]

    def works(server):
        with server.limited(resource.RLIMIT_NOFILE, ENOUGH_DESCRIPTORS), Guest(ports[0]):
            pass

    note = until_it_serves(lab, exports, works)
    if os.geteuid() == 0:
        note += "; as an ordinary user it " + until_it_serves(lab, ["--user", "nobody", *exports], lambda server: None)
    lab.note(note)


def until_it_serves(lab, arguments, works):
    lines = set()
    for limit in range(FEWEST_DESCRIPTORS, ENOUGH_DESCRIPTORS):
        program = Program(lab.binary, ["prlimit", f"--nofile={limit}:{ENOUGH_DESCRIPTORS}"])
        try:
            with program.serve(lab.log, *arguments) as server:
                works(server)
                return f"serves with {limit} descriptors; with fewer {len(lines)} different lines"
        except NotStarted as end:
            expect(f"status with {limit} descriptors", 1, end.status)
            errors = [line for line in end.log.splitlines() if "error:" in line]
            if len(errors) != 1 or not errors[0].endswith(ADVICE):
                raise AssertionError(f"with {limit} descriptors the server says: {end.log}") from None
            lines.update(errors)
    raise AssertionError(f"the server does not start with {ENOUGH_DESCRIPTORS} descriptors")


SCENARIOS = {
    "starting-without-descriptors": without_descriptors,
}
