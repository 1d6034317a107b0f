"""A server in a virtual machine, on a gadget of a real kernel, with what counts its system calls and allocations.

    virtual machine                                                      this process
    gadget ─▶ dummy_hcd ─▶ usbfs ─▶ server ── hostfwd ──▶ a usb-guest

Built on the end-to-end tier's machines (Tests/e2e).
"""

import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parent
# Before this folder, which has a usbguest of its own; behind it what the tier takes from its neighbour.
sys.path.insert(0, str(BENCH.parent / "Tests" / "e2e"))
sys.path.append(str(BENCH.parent / "Tests" / "small"))

import gadgets
from lab import SERVER_IN_MACHINE, Lab
from ports import free_port
from steps import Steps, wait_until

STRACE, SHIM = "bin/strace", "lib/count-allocations.so"
SERIAL = "BENCH01"


@contextlib.contextmanager
def serving(binary, function):
    """The machine, and the port of a server there that has a gadget with this function."""
    strace = shutil.which("strace") or sys.exit(f"{sys.argv[0]}: strace is missing; apt-get install strace")
    with tempfile.TemporaryDirectory() as directory:
        shim = pathlib.Path(directory, "count-allocations.so")
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-shared", "-fPIC", BENCH / "count-allocations.c", "-o", shim], check=True)
        lab = Lab(pathlib.Path(binary).resolve(), Steps(False))
        try:
            port = free_port()
            tools = {STRACE: pathlib.Path(strace), SHIM: shim}
            host = lab.usb_host(port, modules=["usb_f_ss_lb"], programs=tools)
            host.booted().run("udevd --daemon")
            gadgets.Gadget(host, 0, function, SERIAL).bind()
            wait_until(lambda: host.holds(f"grep -q {SERIAL} /sys/bus/usb/devices/*/serial"), 60, "the gadget is plugged in")
            device = f"id={gadgets.VENDOR:04x}:{gadgets.PRODUCT:04x},serial={SERIAL}"
            server = lab.serve_in(host, [device], program=f"env LD_PRELOAD=/{SHIM} /{SERVER_IN_MACHINE}")
            yield host, port
            server.stop()
        finally:
            lab.close(False)


def allocations(host, body):
    """What the server allocated while `body` ran: itself, and libusb in its name."""
    before = allocated(host)
    body()
    return [after - counted for after, counted in zip(allocated(host), before)]


def allocated(host):
    host.run("kill -USR2 $(cat /run/server.pid); sleep 1")
    counts = re.findall(r"allocations (\d+) libusb (\d+)", host.run("cat /run/server.log"))[-1]
    return [int(count) for count in counts]


def system_calls(host, body):
    """strace's table of what the server did while `body` ran, and the number of calls."""
    host.run("strace -c -f -o /run/strace -p $(cat /run/server.pid) >/dev/null 2>&1 & sleep 3")
    body()
    host.run("killall -INT strace; sleep 2")
    table = host.run("cat /run/strace")
    return table, int(table.splitlines()[-1].split()[3])
