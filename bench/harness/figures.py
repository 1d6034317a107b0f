"""Figures out of results: of one server in one scenario, the median of its rounds; of two, the median of the rounds' ratios."""

from statistics import median

# Figure → where it is in a round's result.
_COSTS = {
    "cpu": "cpu_us_per_packet", "calls": "calls_per_packet", "switches": "switches_per_packet",
    "allocations": "allocations_per_packet", "libusb allocations": "libusb_allocations_per_packet", "windows": "windows",
    "window": "window_ns_per_second", "wake-ups": "voluntary_per_second", "lost in the device": "lost_in_device"}


def of_round(figure, result):
    """One figure of one round; None where there is none."""
    if figure in _COSTS:
        return result["costs"].get(_COSTS[figure])
    if figure in ("resident", "private"):
        return result["memory"][figure]
    if figure == "start":
        return result["start_seconds"] * 1000
    if figure == "throughput":
        rates = [value for name, value in result["rates"].items() if name.startswith("megabytes")]
        return sum(rates) if rates else None
    if figure == "missing":
        return result["counts"].get("missing")
    # A percentile: of reports, of a whole cycle, of a round trip, or of bulk requests, in µs.
    for latencies in (result["latencies"].get(kind) for kind in ("report", "cycle", "roundTrip", "bulkIn", "bulkOut")):
        if latencies:
            return latencies[figure] / 1000
    return None


def _rounds(results, scenario, server, figure):
    return [of_round(figure, result) for result in results.scenarios.get(scenario, {}).get(server, [])]


def value(results, scenario, server, figure):
    """None when it was not measured."""
    found = [number for number in _rounds(results, scenario, server, figure) if number is not None]
    return median(found) if found else None


def ratio(results, scenario, server, other, figure, other_scenario=None):
    """Round by round, as both had their turn one after the other."""
    pairs = zip(_rounds(results, scenario, server, figure), _rounds(results, other_scenario or scenario, other, figure))
    found = [a / b for a, b in pairs if a is not None and b]
    return median(found) if found else None
