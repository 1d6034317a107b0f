"""What is measured: each scenario is a load, a number of devices, and how long."""

from dataclasses import dataclass, field, replace

MANY = ("ordinary", "embedded", "reference", "floor")
# usbredirect 0.13 opens the first device with the ids of the one that it was told: of several equal ones it serves one alone.
ALONE = MANY + ("usbredirect",)


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    command: tuple  # What usb-guests does.
    devices: int = 1
    active: int = 0  # Devices that have reports; 0: all.
    rate: str = "0"
    servers: tuple = MANY
    is_in_quick: bool = False
    seconds: float = 0  # 0: what the command line says.
    settle: float = 0  # Seconds to let pass before it is measured.
    rounds: int = 0
    packets: tuple = field(default=("delivered",))  # Counters of the simulation that make up a packet.

    @property
    def is_bulk(self):
        return self.command[0] == "bulk"

    @property
    def is_idle(self):
        return self.command[0] == "interrupt" and self.rate == "0"


def _interrupt(rate, devices, **others):
    return Scenario(
        f"interrupt-{rate}x{devices}", f"reports at {rate // 1000} kHz, {devices} device{'s' if devices > 1 else ''}",
        ("interrupt",), devices, rate=str(rate),
        servers=ALONE if devices == 1 else MANY, **others)


def _bulk(direction, size, **others):
    label = f"{size // 1024} KiB" if size >= 1024 else f"{size} bytes"
    return Scenario(
        f"bulk-{direction}-{size}", f"bulk {direction.upper()} {label}, 8 devices",
        ("bulk", "--direction", direction, "--size", str(size), "--depth", "4"), 8, packets=("bulk_in", "bulk_out"), **others)


SCENARIOS = (
    Scenario("start", "start, and idle with a guest", ("interrupt",), servers=ALONE, seconds=5, settle=6, rounds=1,
             is_in_quick=True),
    _interrupt(1000, 1, is_in_quick=True),
    _interrupt(1000, 8),
    _interrupt(1000, 32, is_in_quick=True),
    _interrupt(8000, 1),
    _interrupt(8000, 8),
    _interrupt(8000, 32),
    Scenario("burst", "bursts of 16 reports, 100 a second", ("interrupt",), rate="1600x16", servers=ALONE, is_in_quick=True),
    Scenario("flood", "flood: a report whenever a URB is posted", ("interrupt",), rate="flood",
             servers=ALONE + ("reference-no-delay",), is_in_quick=True),
    Scenario("one-of-128", "reports at 1 kHz of one device, 127 others open", ("interrupt",), 128, active=1, rate="1000"),
    Scenario("start-stop", "start and stop of receiving", ("start-stop",), servers=ALONE + ("reference-no-delay",),
             packets=(), is_in_quick=True),
    Scenario("interrupt-out", "reports to the device, one in flight", ("interrupt-out", "--size", "16"),
             servers=ALONE, packets=("interrupt_out",)),
    _bulk("in", 512),
    _bulk("in", 16384),
    _bulk("in", 65536, is_in_quick=True),
    _bulk("out", 512),
    _bulk("out", 16384),
    _bulk("out", 65536, is_in_quick=True),
)


def select(names, is_quick, devices):
    """The scenarios of these names (all if none), of the quick run if so, with these numbers of devices."""
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        raise ValueError(f"there is no scenario {', '.join(sorted(unknown))}; there are "
                         + ", ".join(scenario.name for scenario in SCENARIOS))
    chosen = [
        scenario for scenario in SCENARIOS
        if (not names or scenario.name in names) and (not is_quick or scenario.is_in_quick) and scenario.devices in devices]
    return [replace(scenario, seconds=0, settle=0) for scenario in chosen] if is_quick else chosen
