"""The server under test as a process: on the build machine, or in machine A. Both can say whether it listens
without connecting to it (a probe would be a usb-guest), what it logged, and how it ended.
"""

import pathlib
import re
import subprocess

from steps import wait_until

# Seconds, generous: they only end what would never come.
START = STOP = LOGGED = 60

# What the server logs when the usb-guest sets the keyboard's LEDs, and caps-lock is among those that are lit.
CAPS_LOCK_LOGGED = r"LED.*caps"


class LocalServer:
    """The server on the build machine."""

    def __init__(self, binary, exports, log, stdin):
        self._log = log
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                [binary, "serve", *exports], stdin=stdin or subprocess.DEVNULL, stdout=file, stderr=file)

    def wait_listening(self, ports, paths):
        wait_until(lambda: ports <= tcp_listeners() and paths <= unix_listeners(), START,
                   f"the server listens on {ports | paths}", self._check_alive)

    def wait_log(self, pattern, since=0):
        """Waits for a line behind the first `since` characters of the log."""
        wait_until(lambda: re.search(pattern, self.log()[since:]), LOGGED, f"a log line like /{pattern}/",
                   self._check_alive)

    def log(self):
        return self._log.read_text(errors="replace")

    def stop(self):
        """SIGTERM; the exit status."""
        self._process.terminate()
        wait_until(lambda: self._process.poll() is not None, STOP, "the server ends after SIGTERM")
        return self._process.returncode

    def kill(self):
        self._process.kill()
        self._process.wait()

    def _check_alive(self):
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended with status {self._process.returncode}")


class MachineServer:
    """The server in machine A, where it ends with the machine."""

    def __init__(self, machine, program, arguments):
        self._machine = machine
        machine.run(
            "rm -f /run/server.status;"
            f" (sh -c 'echo $$ >/run/server.pid; exec {program} \"$@\"' sh serve {' '.join(arguments)}"
            " >/run/server.log 2>&1; echo $? >/run/server.status) >/dev/null 2>&1 &")

    def wait_listening(self, port):
        wait_until(lambda: self._machine.holds(f"netstat -ltn | grep -q ':{port} '"), START,
                   f"the server in A listens on {port}", self._check_alive)

    def connections(self, port):
        """Peer addresses of established connections to `port`: a connection that was remade has another one."""
        words = [line.split() for line in self._machine.run("netstat -tn").splitlines()]
        return [word[4] for word in words if word[-1] == "ESTABLISHED" and word[3].endswith(f":{port}")]

    def proc(self, file):
        """A file of the process in /proc."""
        return self._machine.run(f"cat /proc/$(cat /run/server.pid)/{file}")

    def thread_statuses(self):
        """What proc(5) says of its threads, one behind the other, without those that end just then."""
        return self._machine.run("cat /proc/$(cat /run/server.pid)/task/*/status 2>/dev/null", check=False)

    def descriptors(self):
        """How many are open."""
        return int(self._machine.run("ls /proc/$(cat /run/server.pid)/fd | wc -l"))

    def log(self):
        return self._machine.run("cat /run/server.log", timeout=20)

    def stop(self):
        """SIGTERM; the exit status."""
        self._machine.run("kill -TERM $(cat /run/server.pid)")
        wait_until(self._ended, STOP, "the server ends after SIGTERM")
        return int(self._machine.run("cat /run/server.status"))

    def _ended(self):
        return self._machine.holds("[ -s /run/server.status ]")

    def _check_alive(self):
        if self._ended():
            raise AssertionError(f"the server ended with status {self._machine.run('cat /run/server.status')}")


def tcp_listeners():
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                ports.add(int(local.rpartition(":")[2], 16))
    return ports


def unix_listeners():
    # Flags 00010000 is the kernel's mark of a socket that accepts connections.
    lines = (line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:])
    return {words[7] for words in lines if len(words) == 8 and words[3] == "00010000"}
