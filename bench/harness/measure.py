"""One measurement: a server, a load on it, and what both cost and found between two moments while the load lasts."""

import json
import select
import subprocess
import time

from harness import processes
from harness.counters import ALLOCATIONS
from harness.paths import BUILD
from harness.servers import Server
from harness.start import GUESTS, start

WARM_UP = 0.3
PATIENCE = 40
MEASURING = b"measuring\n"


def _begin_guests(scenario, server, cpus):
    command = [BUILD / "usb-guests", *scenario.command, "--attended", "--warm-up", WARM_UP + scenario.settle, server.address]
    return start(
        command, cpus.guests, GUESTS if cpus.is_real_time else None, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, bufsize=0)


def _wait_measuring(scenario, guests):
    """The first line that the load generator says: that it measures, or the beginning of why it does not."""
    readable, _, _ = select.select([guests.stdout], [], [], PATIENCE + scenario.settle)
    return guests.stdout.readline() if readable else b""


def _moment(simulation, server):
    return time.perf_counter(), simulation.stats(), server.counts(), processes.usage(server.pids)


def _moment_with_packets(scenario, simulation, server, first, guests):
    """A machine that stood still all the time gets more of it, while there is a load."""
    deadline = time.monotonic() + PATIENCE
    while True:
        moment = _moment(simulation, server)
        stats = _difference(moment[1], first[1])
        has_moved = any(stats[name] > 0 for name in scenario.packets or ("submits",))
        if has_moved or scenario.is_idle or guests.poll() is not None or time.monotonic() > deadline:
            return moment
        time.sleep(0.1)


def _difference(after, before):
    return {key: after[key] - before[key] for key in after}


def _costs(scenario, first, last, found):
    seconds = last[0] - first[0]
    stats, counts, usage = (_difference(last[i], first[i]) for i in (1, 2, 3))
    packets = sum(stats[key] for key in scenario.packets)
    if not scenario.packets:
        packets = found["rates"].get("cyclesPerSecond", 0) * seconds
    calls = {name: value for name, value in counts.items() if name not in ALLOCATIONS}
    costs = {
        "seconds": seconds, "packets": packets, "cpu": usage["cpu_ns"] / 1e9 / seconds,
        "voluntary_per_second": usage["voluntary"] / seconds, "involuntary_per_second": usage["involuntary"] / seconds,
        "windows": stats["windows"], "window_ns_per_second": stats["window_ns"] / seconds,
        "unposted_reports": stats["unposted_reports"], "lost_in_device": stats["lost"],
        "engine_late": stats["late"], "engine_skipped": stats["skipped"],
    }
    if packets > 0:
        costs |= {
            "cpu_us_per_packet": usage["cpu_ns"] / 1e3 / packets, "calls_per_packet": sum(calls.values()) / packets,
            "switches_per_packet": (usage["voluntary"] + usage["involuntary"]) / packets,
            "calls": {name: value / packets for name, value in calls.items() if value},
        } | {name + "_per_packet": counts[name] / packets for name in ALLOCATIONS}
    return costs


def measure(name, scenario, simulation, seconds, cpus):
    """A dictionary of everything that was found."""
    simulation.rate(0, 1)
    server = Server(name, simulation, scenario.devices, cpus)
    was_alive = False
    try:
        simulation.rate(scenario.rate, scenario.active or scenario.devices)
        guests = _begin_guests(scenario, server, cpus)
        said = _wait_measuring(scenario, guests)
        first = _moment(simulation, server)
        time.sleep(seconds)
        last = _moment_with_packets(scenario, simulation, server, first, guests)
        memory = processes.memory(server.pids)
        # The load lasts until now, however late this process was.
        output = guests.communicate(timeout=PATIENCE)[0]
    finally:
        was_alive = server.close()
    try:
        found = json.loads((said + output).removeprefix(MEASURING))
    except ValueError:
        found = {"counts": {}, "rates": {}, "latencies": {}, "failures": ["the load generator said nothing"]}
    # usbredirect ends with its guest.
    if not was_alive and name != "usbredirect":
        found["failures"].append("the server ended")
    return {
        "costs": _costs(scenario, first, last, found), "memory": memory, "start_seconds": server.start_seconds,
        "counts": found["counts"], "rates": found["rates"], "latencies": found["latencies"],
        "generator": found.get("generator"), "failures": found["failures"]}
