"""Results as Markdown."""

from harness import figures
from harness.goals import GOALS
from harness.scenarios import SCENARIOS
from harness.servers import OURS, SERVERS, title

# Figure → heading, format.
LATENCIES = [(p, f"{p} µs", "{:.0f}") for p in ("p50", "p90", "p99", "p99.9")]
COSTS = [
    ("cpu", "CPU µs", "{:.1f}"), ("calls", "system calls", "{:.2f}"), ("switches", "switches", "{:.2f}"),
    ("allocations", "allocations", "{:.3f}"), ("libusb allocations", "of libusb", "{:.2f}")]
LOSSES = [("windows", "windows", "{:.0f}"), ("window", "un-posted µs/s", "{:.0f}"), ("missing", "missing", "{:.0f}")]
MEMORY = [("resident", "resident MB", "{:.2f}"), ("private", "private MB", "{:.2f}")]
IDLE = [("start", "to listening, ms", "{:.1f}"), ("wake-ups", "wake-ups/s", "{:.1f}")]
THROUGHPUT = [("throughput", "MB/s", "{:.0f}")]
SCALES = {"resident": 1e6, "private": 1e6, "window": 1e3}


def _columns(scenario):
    if scenario.name == "start":
        return IDLE + MEMORY
    if scenario.is_bulk:
        return THROUGHPUT + LATENCIES + COSTS + MEMORY
    if scenario.command[0] == "interrupt":
        return LATENCIES + COSTS + LOSSES + MEMORY
    return LATENCIES + COSTS + MEMORY


def _text(form, number):
    return "–" if number is None else form.format(number)


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _scenario(results, scenario):
    columns = _columns(scenario)
    lines = [f"**{scenario.title}** (`{scenario.name}`)", "", _row(["", *(heading for _, heading, _ in columns)]),
             _row(["---"] + ["---:"] * len(columns))]
    for server in SERVERS:
        if server not in results.scenarios[scenario.name]:
            continue
        numbers = ((form, figures.value(results, scenario.name, server, name), SCALES.get(name, 1)) for name, _, form in columns)
        lines.append(_row([title(server), *(_text(form, n if n is None else n / scale) for form, n, scale in numbers)]))
    return "\n".join(lines)


def everything(results):
    """A table for each scenario; costs are per report, bulk request, or start/stop cycle."""
    return "\n\n".join(_scenario(results, s) for s in SCENARIOS if results.scenarios.get(s.name)) + "\n"


def _verdict(goal, results, server):
    if server in goal.leaves_out:
        return "", None
    number = goal.figure(results, server)
    if number is None:
        return "–", None
    return goal.text.format(number), goal.holds(number)


def goals(results):
    """One line for each goal whose scenario was measured."""
    lines = [_row(["figure", "goal", *(title(server) for server in OURS), "holds"]), _row(["---", "---", *["---:"] * len(OURS), "---"])]
    for goal in GOALS:
        verdicts = [_verdict(goal, results, server) for server in OURS]
        known = [holds for _, holds in verdicts if holds is not None]
        if known:
            lines.append(_row([goal.title, goal.goal, *(text for text, _ in verdicts), "yes" if all(known) else "**no**"]))
    return "\n".join(lines) + "\n"


def line(server, result):
    """A round, while it goes on."""
    parts = [title(server)]
    for name, heading, form in [*THROUGHPUT, *LATENCIES[:3:2], *COSTS[:2]]:
        number = figures.of_round(name, result)
        if number is not None:
            parts.append(f"{heading} {form.format(number)}")
    return ", ".join(parts + [f"FAILED: {fault}" for fault in result["failures"]])
