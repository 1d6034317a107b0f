"""Simulated USB devices: the engine of usbfs-sim, and what it counts."""

import json
import os
import socket
import subprocess
import time

from harness.paths import BUILD
from harness.start import ENGINE, start

DEVICES_PER_BUS, FIRST_ADDRESS = 64, 2
LONGEST_ANSWER = 1 << 18
# A stamp is 16 bytes; a report of a mouse or a game pad is not much longer.
REPORT_BYTES = 24


class Simulation:
    """A bus with so many devices. All of them are silent until `rate` is called."""

    def __init__(self, devices, cpu, is_real_time):
        self.devices = devices
        self.name = f"bench-{os.getpid()}-{devices}"
        command = [
            BUILD / "usbfs-sim", "--name", self.name, "--devices", devices, "--report-bytes", REPORT_BYTES, "--cpu", cpu,
            "--spin", 0]
        if is_real_time:
            command.append("--real-time")
        self._process = start(command, cpu, ENGINE if is_real_time else None, stdout=subprocess.DEVNULL)
        self._connection = self._connect()
        self.folder = self.ask("folder")

    def _connect(self):
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                connection.connect(f"\0usbfs-sim/{self.name}")
                return connection
            except OSError:
                connection.close()
                time.sleep(0.02)
        raise RuntimeError("usbfs-sim does not start")

    def ask(self, line):
        """Says one line to the engine; its answer."""
        self._connection.send(line.encode() + b"\0")
        answer = self._connection.recv(LONGEST_ANSWER).rstrip(b"\0").decode()
        if answer.startswith("error"):
            raise RuntimeError(f"usbfs-sim: {line}: {answer}")
        return answer

    def rate(self, rate, devices):
        """The first so many devices have reports at this rate (`1000`, `1600x16`, `flood`), the others none."""
        self.ask("rate 0")
        if str(rate) != "0":
            self.ask(f"rate {rate} 0-{devices - 1}")

    def stats(self):
        """What all devices together counted so far."""
        answer = json.loads(self.ask("stats"))
        return dict(answer["total"], late=answer["engine"]["late"], skipped=answer["engine"]["skipped"])

    def environment(self, preloaded):
        """What lets a program see these devices."""
        libraries = [*map(str, preloaded), str(BUILD / "usbfs-sim.so"), "libumockdev-preload.so.0"]
        return dict(os.environ, LD_PRELOAD=" ".join(libraries), UMOCKDEV_DIR=self.folder, USBFS_SIM=self.name)

    @staticmethod
    def address(index):
        """Bus and address of a device."""
        return 1 + index // DEVICES_PER_BUS, FIRST_ADDRESS + index % DEVICES_PER_BUS

    def close(self):
        self._connection.close()
        self._process.terminate()
        self._process.wait()
