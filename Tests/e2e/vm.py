"""A virtual machine: QEMU without KVM, one shell on a serial port, everything under a timeout.

    driver ──unix socket── second serial port: a shell, one command a line, an end marker after its output
    Monitor ──── unix socket ── QEMU itself
    console.log ◀───────── first serial port: the kernel's messages
    qemu.log    ◀───────── stderr of QEMU, among it what usb-redir says with debug=2
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import time

from qmp import Monitor
from steps import expect, wait_until

# No scenario is meant to take so long: this ends a machine whose driver was killed.
LIFETIME = 1800
BOOT = 180

# MiB.
MEMORY = 256

KERNEL_ARGUMENTS = "quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on"


class VM:
    def __init__(self, name, directory, architecture, kernel, image, arguments=(), memory=MEMORY):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        image.write(self.directory / "initramfs", compressed=memory < MEMORY)
        command = [
            *architecture.qemu, "-accel", "tcg", "-m", str(memory), "-nodefaults", "-no-reboot", "-display", "none",
            "-pidfile", str(self.directory / "pid"),
            "-kernel", str(kernel.image), "-initrd", str(self.directory / "initramfs"),
            "-append", f"{KERNEL_ARGUMENTS} {architecture.kernel_arguments} shell={architecture.shell}",
            "-serial", f"file:{self.directory}/console.log",
            "-qmp", f"unix:{self.directory}/qmp,server=on,wait=off",
            "-chardev", f"socket,id=shell,path={self.directory}/shell,server=on,wait=off", *architecture.second_port,
            *arguments]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                ["timeout", "--kill-after=5", str(LIFETIME), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._shell = self._monitor = None
        self._pending = b""
        self._booted = False
        try:
            # At once: what the machine writes while nobody is connected is lost.
            wait_until(self._connect, BOOT, f"{self.name}: QEMU's serial port", self._alive)
        except BaseException:
            self.kill()
            raise

    @property
    def log(self):
        return self.directory / "qemu.log"

    @property
    def has_ended(self):
        return self._process.poll() is not None

    def booted(self):
        """Waits for the shell. Machines start when they are made, so that two of them boot side by side."""
        if not self._booted:
            self._read_until(rb"@@ready\r?\n", BOOT)
            self._booted = True
        return self

    def run(self, command, timeout=60, check=True):
        """Output of a shell command in the machine; with `check` a failure of the command is one of the step."""
        assert "\n" not in command
        self._shell.sendall(command.encode() + b"\n")
        output, status = self._read_until(rb"\r?\n@@end (\d+)\r?\n", timeout)
        if check and int(status) != 0:
            raise AssertionError(f"{self.name}: `{command}` ended with {int(status)}:\n{output}")
        return output

    def holds(self, command):
        """Whether a shell command succeeds in the machine."""
        return self.run(f"if {command}; then echo yes; fi") == "yes"

    def set_link(self, name, is_up):
        """Plugs in or pulls out the network cable of an end with this name. Nobody is told but who has the cable."""
        self._command("set_link", {"name": name, "up": is_up})

    def has_connection(self, port):
        """Whether QEMU's own network has an established connection that came in at this port of the build machine."""
        table = self._command("human-monitor-command", {"command-line": "info usernet"})
        return re.search(rf"TCP\[ESTABLISHED\].* 127\.0\.0\.1 +{port} ", table) is not None

    def wait_aborted(self, assertion):
        """Waits until QEMU itself has ended this machine, by SIGABRT and with `assertion` (a pattern) in its log."""
        # `timeout` ends by the signal that ended its child.
        wait_until(lambda: self.has_ended, 60, f"{self.name}: QEMU aborts")
        expect(f"status of QEMU {self.name}", -signal.SIGABRT, self._process.returncode)
        log = self.log.read_text(errors="replace")
        if not re.search(assertion, log):
            raise AssertionError(f"{self.name}: QEMU aborted without /{assertion}/:\n{log}")

    def kill(self):
        """SIGKILL, as when a machine crashes: its connections are closed by the kernel, not by QEMU."""
        pidfile = self.directory / "pid"
        pid = pidfile.read_text() if pidfile.exists() else ""
        if self._process.poll() is None:
            # Without a pid QEMU has not come far; `timeout` hands the signal on.
            os.kill(int(pid), signal.SIGKILL) if pid else self._process.terminate()
        self._process.wait()
        for connection in (self._shell, self._monitor):
            if connection:
                connection.close()

    def _command(self, name, arguments):
        if not self._monitor:
            self._monitor = Monitor(self.directory / "qmp")
        return self._monitor.command(name, arguments)

    def _connect(self):
        shell = socket.socket(socket.AF_UNIX)
        try:
            shell.connect(str(self.directory / "shell"))
        except OSError:
            shell.close()
            return False
        self._shell = shell
        return True

    def _alive(self):
        if self.has_ended:
            raise AssertionError(f"{self.name}: QEMU ended:\n{self.log.read_text(errors='replace')}")

    def _read_until(self, marker, timeout):
        deadline = time.monotonic() + timeout
        while not (found := re.search(marker, self._pending)):
            self._shell.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                received = self._shell.recv(65536)
            except TimeoutError:
                shown = self._pending.decode(errors="replace")
                raise AssertionError(f"{self.name}: no answer in {timeout} s; so far: {shown}") from None
            if not received:
                self._process.wait()
                self._alive()
            self._pending += received
        output = self._pending[:found.start()].decode(errors="replace")
        self._pending = self._pending[found.end():]
        return output.rstrip("\n"), *found.groups()
