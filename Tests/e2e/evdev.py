"""What the keyboards and pointers of machine B report, as collected by the guest helper of the same name."""

import time

from steps import wait_until

TIMEOUT = 120

# Seconds without an event after which no more is expected: where all have come, and where some are missing.
SETTLED, GIVEN_UP = 0.5, 20

LOG = "/run/evdev.log"

# The guest kernel's own auto-repeat: it depends on how long a key looked pressed and is no report of the device.
REPEATED = 2

# The guest kernel's own finer copy of each turn of the wheel.
REL_WHEEL_HI_RES = 11


class Watcher:
    """Watches every USB input device of a machine, from before the first one appears."""

    def __init__(self, machine):
        self.machine = machine
        self._lines = []
        machine.run(f"mkdir -p /dev/input; evdev watch >{LOG} 2>&1 &")
        wait_until(lambda: machine.holds(f"[ -e {LOG} ]"), TIMEOUT, "the evdev watcher starts")

    def lines(self):
        """All that was reported so far; only what is new travels over the serial port."""
        new = self.machine.run(f"tail -n +{len(self._lines) + 1} {LOG}")
        self._lines += [line.split() for line in new.splitlines()]
        return self._lines


class Device:
    """One input device, named by the beginning of its physical path, that is by the port it is plugged into."""

    def __init__(self, watcher, place):
        self._watcher = watcher
        self._place = place
        self._taken = 0

    def wait_plugged(self, times=1):
        """Waits until it was plugged in so many times; its VID:PID."""
        wait_until(lambda: len(self._said("open")) >= times, TIMEOUT, f"{self._place} appears, {times} in all")
        return self._said("open")[-1][2]

    def wait_unplugged(self, times=1):
        wait_until(lambda: len(self._said("gone")) >= times, TIMEOUT, f"{self._place} goes, {times} in all")

    def _take(self, events, complete):
        """What `events()` has gained since the last call. Returns when that is `complete(taken)` and nothing follows
        it, so that one too many is seen as well, or when nothing has come for a long time: the caller compares, and
        shows where the sequences part."""
        taken, quiet_since = [], time.monotonic()
        while True:
            before = len(taken)
            taken = events()[self._taken:]
            quiet = time.monotonic() - quiet_since
            if len(taken) > before:
                quiet_since = time.monotonic()
            elif quiet > GIVEN_UP or quiet > SETTLED and complete(taken):
                break
            time.sleep(0.2)
        if self._said("lost"):
            raise AssertionError("the kernel of B dropped events before the watcher had read them")
        self._taken += len(taken)
        return taken

    def _said(self, *words):
        return [line for line in self._watcher.lines() if line[0] in words and line[1].startswith(self._place)]


class Keyboard(Device):
    def take_keys(self, complete):
        """Presses and releases since the last call, as (code, value)."""
        return self._take(self._keys, complete)

    def set_led(self, led, lit):
        phys = self._said("open")[-1][1]
        self._watcher.machine.run(f"evdev led {phys} {led} {int(lit)}")

    def _keys(self):
        events = ((int(code), int(value)) for _, _, _, code, value in self._said("key"))
        return [(code, value) for code, value in events if value != REPEATED]


class Pointer(Device):
    def take_events(self, complete):
        """What the pointer has done since the last call, as (type, code, value)."""
        return self._take(self._events, complete)

    def _events(self):
        events = ((word, int(code), int(value)) for word, _, _, code, value in self._said("key", "rel", "abs"))
        return [event for event in events if event[:2] != ("rel", REL_WHEEL_HI_RES)]
