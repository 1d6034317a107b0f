"""What a quick run has to show: that everything works. No timings: a busy machine must not fail it."""

from harness.servers import title

# What other servers refuse or lose is theirs; that they are measured at all is ours.
JUDGED = ("ordinary", "embedded", "floor")


def _faults_of(scenario, server, result):
    found = list(result["failures"]) if server in JUDGED else []
    if scenario != "start" and not result["costs"]["packets"] > 0:
        found.append("nothing was transferred")
    if scenario != "start" and not (result["latencies"] or result["rates"]):
        found.append("no latencies and no throughput")
    if not result["memory"]["resident"] > 0:
        found.append("no memory was measured")
    if scenario != "start" and not result["costs"].get("calls_per_packet", 0) > 0:
        found.append("no system calls were counted")
    counts = result["counts"]
    for name in ("missing", "duplicates", "outOfOrder", "errors", "missingIn"):
        if server in JUDGED and counts.get(name, 0) > 0:
            found.append(f"{counts[name]} {name}")
    return [f"{scenario}, {title(server)}: {fault}" for fault in found]


def faults(results):
    """A line for each thing that did not work."""
    return [
        fault for scenario, by_server in results.scenarios.items() for server, rounds in by_server.items()
        for result in rounds for fault in _faults_of(scenario, server, result)]
