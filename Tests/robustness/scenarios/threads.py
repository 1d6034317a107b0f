"""The system gives the server no threads: while it starts, while devices are opened, reset and given back."""

from client import STAMPED, Client, Neighbour
from ports import free_ports
from scarcity import THREADS, Scarcity
from scenarios.faults import works
from scenarios.vanishing import wait_given_back
from server import NotStarted, Program
from steps import expect
from usbguest import RESET

ADVICE = "raise the limit (ulimit -u)"
# Of the server's thread that has to be there, and of libusb's.
STARTS = {"virtual=disk,image={}": "start a thread: Resource temporarily unavailable",
          "port=1-1": "libusb_init for discovery: Resource temporarily unavailable"}


def no_threads(lab):
    """A line that names the limit; what would have had a thread of its own is done without, and nothing is lost."""
    with Scarcity() as scarcity:
        starting(lab, scarcity)
        with lab.serving("port=1-1", "port=1-2", options=STAMPED, preloaded=scarcity) as (simulation, server, ports), \
                Neighbour(ports[1]) as neighbour:
            for _ in range(2):
                scarcity.start(THREADS)
                with Client(ports[0]) as guest:
                    serves(guest)
                wait_given_back(simulation)
                lacked = scarcity.stop(THREADS)
                with Client(ports[0]) as guest:
                    serves(guest)
                wait_given_back(simulation)
            told = [line for line in server.log().splitlines() if "no thread" in line]
            expect("lines, each with its advice", [True] * 2, [line.endswith(ADVICE) for line in told])
            lab.note(f"{lacked} threads that were not to be had in a session; the neighbour's longest gap: "
                     f"{neighbour.longest_gap * 1000:.0f} ms")


def starting(lab, scarcity):
    image = lab.log.parent / "image"
    image.write_bytes(bytes(1 << 20))
    for export, reason in STARTS.items():
        program = Program(lab.binary, scarcity.launcher)
        scarcity.start(THREADS)
        try:
            with program.serve(lab.log, f"{export.format(image)},listen=127.0.0.1:{free_ports(1)[0]}"):
                raise AssertionError(f"{export} is served without its thread")
        except NotStarted as end:
            expect("status", 1, end.status)
            errors = [line for line in end.log.splitlines() if "error:" in line]
            if len(errors) != 1 or not errors[0].endswith(f"{reason}; {ADVICE}"):
                raise AssertionError(f"the server says: {end.log}") from None
        finally:
            scarcity.stop(THREADS)


def serves(guest):
    guest.start()
    guest.wait_reports(20)
    guest.send(RESET, 0)
    works(guest)


SCENARIOS = {
    "no-threads": no_threads,
}
