"""The servers that are compared, and how each is started on the first so many devices of a simulation."""

import itertools
import subprocess
import time

from harness import processes
from harness.counters import LIBRARY, Counters
from harness.paths import BUILD, ROOT
from harness.simulation import Simulation
from harness.start import SERVER, start

# Below the range that the kernel takes ports of connections from.
_ports = itertools.cycle(range(20000, 30000, 128))


def _node(index):
    return "/dev/bus/usb/{:03}/{:03}".format(*Simulation.address(index))


def _serve(binary):
    def commands(port, devices):
        exports = [
            "address={}-{},listen=127.0.0.1:{}".format(*Simulation.address(i), port + i) for i in range(devices)]
        return [[binary, "serve", "--quiet", *exports]]

    return commands


def _floor(port, devices):
    return [[BUILD / "floor", str(port), *map(_node, range(devices))]]


def _reference(*options):
    return lambda port, devices: [
        [BUILD / "reference", *options, str(port + i), _node(i)] for i in range(devices)]


def _usbredirect(port, devices):
    return [
        ["usbredirect", "--device", "{}-{}".format(*Simulation.address(i)), "--as", f"127.0.0.1:{port + i}"]
        for i in range(devices)]


# Name → what it is called, and the command lines.
SERVERS = {
    "ordinary": ("ours, ordinary", _serve(ROOT / ".build/release/usbredir-evloop")),
    "embedded": ("ours, Embedded", _serve(ROOT / "build/small/usbredir-evloop")),
    "reference": ("reference", _reference()),
    "reference-no-delay": ("reference, TCP_NODELAY", _reference("--no-delay")),
    "usbredirect": ("usbredirect", _usbredirect),
    "floor": ("floor", _floor),
}
# Those that the goals are for.
OURS = ["ordinary", "embedded"]


def add(name, binary):
    """Another build of ours, to be measured beside the two."""
    SERVERS[name] = (name, _serve(binary))
    OURS.append(name)


def title(server):
    return SERVERS[server][0]


class Server:
    """A server at work, one process or several."""

    def __init__(self, name, simulation, devices, cpus):
        self.name, self.devices = name, devices
        self.port = next(_ports)
        self._counters, self._processes = [], []
        # The thread of usbredirect that spins would keep its own others from the processor.
        priority = SERVER if cpus.is_real_time and name != "usbredirect" else None
        started = time.perf_counter()
        for command in SERVERS[name][1](self.port, devices):
            counters = Counters()
            environment = dict(simulation.environment([LIBRARY]), COUNT_CALLS=counters.path)
            self._counters.append(counters)
            self._processes.append(start(
                command, cpus.server, priority, env=environment, stdout=subprocess.DEVNULL,
                stderr=None if name in OURS else subprocess.DEVNULL))
        self._wait_listening()
        self.start_seconds = time.perf_counter() - started

    def _wait_listening(self):
        wanted = set(range(self.port, self.port + self.devices))
        deadline = time.monotonic() + 30
        while not wanted <= processes.listening_ports():
            if time.monotonic() > deadline or any(p.poll() is not None for p in self._processes):
                self.close()
                raise RuntimeError(f"{title(self.name)} does not listen for its {self.devices} devices")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}-{self.port + self.devices - 1}" if self.devices > 1 else f"127.0.0.1:{self.port}"

    @property
    def pids(self):
        return [process.pid for process in self._processes]

    def counts(self):
        """System calls and allocations so far."""
        total = {}
        for counters in self._counters:
            for name, value in counters.read().items():
                total[name] = total.get(name, 0) + value
        return total

    def close(self):
        """Ends it; false when a process had ended by itself."""
        was_alive = all(process.poll() is None for process in self._processes)
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return was_alive
