"""What the kernel says of processes: time, switches, memory."""

import pathlib
import re


def _threads(pid):
    try:
        return list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def usage(pids):
    """Nanoseconds of CPU and context switches of all threads so far."""
    total = {"cpu_ns": 0, "voluntary": 0, "involuntary": 0}
    for pid in pids:
        for thread in _threads(pid):
            fields = _read(thread / "schedstat").split()
            total["cpu_ns"] += int(fields[0]) if fields else 0
            switches = dict(re.findall(r"^(\w+)_ctxt_switches:\s*(\d+)", _read(thread / "status"), re.M))
            total["voluntary"] += int(switches.get("voluntary", 0))
            total["involuntary"] += int(switches.get("nonvoluntary", 0))
    return total


def memory(pids):
    """Resident bytes without what is shared with the simulation, and private bytes."""
    resident = private = 0
    for pid in pids:
        process = pathlib.Path(f"/proc/{pid}")
        parts = dict(re.findall(r"^Rss(Anon|File):\s*(\d+) kB", _read(process / "status"), re.M))
        resident += sum(map(int, parts.values()))
        private += sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s*(\d+) kB", _read(process / "smaps_rollup"), re.M)))
    return {"resident": resident * 1024, "private": private * 1024}


def listening_ports():
    """The TCP ports that anybody listens on, IPv4."""
    ports = set()
    with open("/proc/net/tcp") as table:
        next(table)
        for line in table:
            _, local, _, state = line.split(None, 4)[:4]
            if state == "0A":
                ports.add(int(local.rsplit(":", 1)[1], 16))
    return ports
