"""What is to be reached: a line for each goal, with the figure of both builds and whether it holds."""

from dataclasses import dataclass
from typing import Callable

from harness import figures

MIB = 1 << 20


@dataclass(frozen=True)
class Goal:
    title: str
    goal: str
    figure: Callable  # (results, server) → number, or None
    holds: Callable  # number → bool
    text: str = "{:.2f}"
    leaves_out: tuple = ()


def _ratio(scenario, figure, other="floor"):
    return lambda results, server: figures.ratio(results, scenario, server, other, figure)


def _value(scenario, figure, scale=1):
    def read(results, server):
        found = figures.value(results, scenario, server, figure)
        return None if found is None else found / scale

    return read


def _at_most(limit):
    # Half of the last digit that is shown.
    return lambda number: number <= limit + 0.005


def _at_least(limit):
    return lambda number: number >= limit - 0.005


def _lost(scenario):
    """Reports that were lost anywhere, and windows without a posted URB, in all rounds."""
    def read(results, server):
        rounds = results.scenarios.get(scenario, {}).get(server)
        if not rounds:
            return None
        return sum(r["costs"]["windows"] + r["costs"]["lost_in_device"] + r["counts"].get("missing", 0) for r in rounds)

    return read


def _none_missing(scenario):
    def read(results, server):
        rounds = results.scenarios.get(scenario, {}).get(server)
        return sum(r["costs"]["lost_in_device"] + r["counts"].get("missing", 0) for r in rounds) if rounds else None

    return read


def _calls(scenario, title):
    return Goal(f"system calls per report, {title}, × floor", "≤ 1.00", _ratio(scenario, "calls"), _at_most(1.02))


def _latency(rate, devices):
    scenario = f"interrupt-{rate}x{devices}"
    where = f"{rate // 1000} kHz, {devices} device{'s' if devices > 1 else ''}"
    return [Goal(f"latency {p}, {where}, × floor", "≤ 1.10", _ratio(scenario, p), _at_most(1.1)) for p in ("p50", "p99")]


def _bulk(direction):
    return Goal(f"bulk {direction.upper()} 64 KiB, 8 devices, × floor", "≥ 0.85",
                _ratio(f"bulk-{direction}-65536", "throughput"), _at_least(0.85))


def _nothing(scenario, title, figure):
    # Pools grow when more waits than ever before: some allocations a second, not one a report.
    return Goal(f"{figure} per {title}", "0", _value(scenario, figure), lambda number: number < 0.01, "{:.3f}")


GOALS = [
    _calls("interrupt-1000x1", "one at a time"),
    _calls("burst", "16 of one device at once"),
    _calls("interrupt-1000x32", "32 devices at once"),
    *[goal for rate in (1000, 8000) for devices in (1, 8, 32) for goal in _latency(rate, devices)],
    Goal("CPU per report, lone, × floor", "≤ 1.15", _ratio("interrupt-1000x1", "cpu"), _at_most(1.15)),
    Goal("CPU per report, 32 devices at 1 kHz, × floor", "≤ 1.15", _ratio("interrupt-1000x32", "cpu"), _at_most(1.15)),
    Goal("CPU per report, 32 devices at 1 kHz, × reference", "≤ 0.60", _ratio("interrupt-1000x32", "cpu", "reference"), _at_most(0.6)),
    Goal("CPU per report, flood, × floor", "≤ 1.30", _ratio("flood", "cpu"), _at_most(1.3)),
    Goal("CPU per report, flood, × reference", "< 1.00", _ratio("flood", "cpu", "reference"), lambda number: number < 1),
    _nothing("interrupt-8000x1", "report", "allocations"),
    _nothing("bulk-in-65536", "bulk IN request", "allocations"),
    _nothing("bulk-out-65536", "bulk OUT request", "allocations"),
    Goal("un-posted windows and reports lost, 8 kHz, one device", "0", _lost("interrupt-8000x1"), _at_most(0), "{:.0f}"),
    Goal("un-posted windows and reports lost, 1 kHz, 32 devices", "0", _lost("interrupt-1000x32"), _at_most(0), "{:.0f}"),
    Goal("reports lost in bursts of 16", "0", _none_missing("burst"), _at_most(0), "{:.0f}"),
    Goal("start/stop cycle p99, ms", "≤ 1.00", _value("start-stop", "p99", 1000), _at_most(1)),
    Goal("CPU per report, one active of 128 open, × alone", "≤ 1.20",
         lambda results, server: figures.ratio(results, "one-of-128", server, server, "cpu", "interrupt-1000x1"), _at_most(1.2)),
    _bulk("in"),
    _bulk("out"),
    Goal("resident memory, one device, MB", "≤ 3.50", _value("interrupt-1000x1", "resident", 1e6), _at_most(3.5), leaves_out=("ordinary",)),
    Goal("resident memory, 32 devices, MB", "≤ 6.00", _value("interrupt-1000x32", "resident", 1e6), _at_most(6), leaves_out=("ordinary",)),
    Goal("start to listening, ms", "≤ 10.0", _value("start", "start"), _at_most(10), "{:.1f}"),
    Goal("wake-ups per second when idle", "0", _value("start", "wake-ups"), _at_most(0)),
]
