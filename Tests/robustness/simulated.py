"""Simulated devices, a server on them, and what a scenario finds out about both."""

import contextlib
import json
import os
import pathlib
import subprocess
import time

from ports import free_ports
from server import Program

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SIMULATOR = ROOT / "build/bench/usbfs-sim"
# Seconds, generous: they only end what would never come.
PATIENCE = 30


class Lab:
    """What a scenario works with. It notes figures, which are told and not judged."""

    def __init__(self, binary, directory, is_quick):
        self.binary, self.is_quick = binary, is_quick
        self.log = directory / "server.log"
        self.figures = []

    def note(self, line):
        self.figures.append(line)

    def log_lines(self, count):
        return self.log.read_text(errors="replace").splitlines()[-count:] if self.log.exists() else []

    @contextlib.contextmanager
    def serving(self, *exports, devices=2, rate=1000, options=(), preloaded=None):
        """Simulated devices and a server with these exports on them, `{N}` standing for its N-th port; gives both, and
        the ports. The server has to end well.
        """
        with Simulation(devices, rate, options) as simulation, \
                self.serving_on(simulation, *exports, preloaded=preloaded) as (server, ports):
            yield simulation, server, ports

    @contextlib.contextmanager
    def serving_on(self, simulation, *exports, preloaded=None):
        """The same on devices that are there already."""
        ports = free_ports(len(exports))
        program = Program(self.binary, [*(preloaded.launcher if preloaded else ()), str(SIMULATOR), "run", simulation.name])
        places = [f"{export},listen=127.0.0.1:{port}" for export, port in zip(exports, ports)]
        with program.serve(self.log, *places) as server:
            yield server, ports
        for word in ("AddressSanitizer", "Fatal error", "runtime error"):
            if word in self.log.read_text(errors="replace"):
                raise AssertionError(f"the server's log has '{word}'")


class Simulation:
    """usbfs-sim's engine."""

    count = 0

    def __init__(self, devices, rate, options=()):
        Simulation.count += 1
        self.name = f"robustness-{os.getpid()}-{Simulation.count}"
        command = [SIMULATOR, "--name", self.name, "--devices", str(devices), "--rate", str(rate), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "ready\n":
            raise AssertionError("usbfs-sim does not start; it is built by `make bench-tools`")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def tell(self, *words):
        """One command; its answer."""
        command = [SIMULATOR, "ctl", self.name, *(str(word) for word in words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"{command[3:]}: {done.stdout}")
        return done.stdout.strip()

    def counters(self, device):
        return json.loads(self.tell("stats", device))["devices"][0]

    def wait_for_faults(self, device, count):
        """Until the device's requests have met so many faults in all."""
        wait_until(lambda: self.counters(device)["faults"] >= count, f"fault {count} of device {device}")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in vain waited for: {what}")
        time.sleep(0.02)
