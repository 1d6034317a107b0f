"""The machine that is measured on: which processor does what, what is built, and how it is told."""

import os
import pathlib
import platform
import subprocess
import sys

from harness.paths import BUILD, ROOT


class Processors:
    """Two of them: one for the server alone, one for the devices' engine and the usb-guests.

    Engine and guests share one on purpose, however many there are: the kernel then wakes the same way on every machine, and the
    guest's processor was in use when its report became ready.
    """

    def __init__(self, wants_real_time):
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            sys.exit("bench/run: one processor for the server and one for the rest are needed; this machine has one")
        self.guests, self.server, self.count = usable[0], usable[1], len(usable)
        self.is_real_time = wants_real_time and self._may_be_real_time()

    @staticmethod
    def _may_be_real_time():
        try:
            before = os.sched_getscheduler(0), os.sched_getparam(0)
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            os.sched_setscheduler(0, *before)
        except OSError:
            return False
        return True


def require_built(peers):
    """Ends the program when something is missing."""
    needed = [BUILD / name for name in ("usbfs-sim", "usbfs-sim.so", "usb-guests", "floor", "reference", "count-calls.so")]
    needed += [ROOT / ".build/release/usbredir-evloop", ROOT / "build/small/usbredir-evloop"]
    for path in needed:
        if not path.exists():
            sys.exit(f"bench/run: there is no {path.relative_to(ROOT)}; make bench builds all that is needed")


def _first(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def describe(processors):
    return {
        "processor": _processor(), "processors": processors.count, "kernel": platform.release(),
        "libusb": _first(["dpkg-query", "-W", "-f", "${Version}", "libusb-1.0-0"]),
        "usbredirect": _first(["dpkg-query", "-W", "-f", "${Version}", "usbredirect"]),
        "revision": _first(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "real_time": processors.is_real_time, "load_average": os.getloadavg()[0],
    }
