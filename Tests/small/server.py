"""A program under test as a process, natively or emulated: it says when it is ready, what it logged and what it costs."""

import contextlib
import fcntl
import os
import pathlib
import resource
import subprocess
import time

# Seconds, generous: they only end what would never come.
PATIENCE = 60
# No program gets this by itself.
HIGH_DESCRIPTOR = 200


class NotStarted(AssertionError):
    """The server ended instead, with this status and this log."""

    def __init__(self, status, log):
        super().__init__(f"the server did not start, status {status}: {log[-2000:]}")
        self.status, self.log = status, log


class Program:
    """A binary and how it is run: `prefix` is the emulator's command, or nothing."""

    def __init__(self, binary, prefix=()):
        self._command = [*prefix, str(binary)]

    def run(self, *arguments):
        """Its standard output. It has to end by itself, and well."""
        done = subprocess.run([*self._command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}: {said[-2000:]}")
        return done.stdout.decode()

    def serve(self, log, *arguments):
        return Server(self._command, log, arguments)


class Server:
    """A server that listens when it is made. `start_time` is how many seconds that took."""

    def __init__(self, command, log, arguments):
        self._log = log
        ready, low = os.pipe()
        write = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, HIGH_DESCRIPTOR)
        os.close(low)
        start = time.monotonic()
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                [*command, "serve", "--ready-fd", str(write), *arguments], pass_fds=[write],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        os.close(write)
        with os.fdopen(ready, "rb") as file:
            is_ready = file.read() == b"\n"
        self.start_time = time.monotonic() - start
        if not is_ready:
            raise NotStarted(self._ended(), self.log())

    def __enter__(self):
        return self

    def stop(self):
        """SIGTERM; the exit status."""
        self._process.terminate()
        return self._ended()

    def _ended(self):
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def __exit__(self, kind, *_):
        """It ends well, unless the test has failed already."""
        status = self.stop()
        if kind is None and status != 0:
            raise AssertionError(f"the server ended with status {status}: {self.log()[-2000:]}")

    def log(self):
        return pathlib.Path(self._log).read_text(errors="replace")

    def memory(self):
        """KiB that are resident now, and at most so far."""
        fields = self.status()
        return int(fields["VmRSS"].split()[0]), int(fields["VmHWM"].split()[0])

    def data(self):
        """KiB of its own that it may write: what RLIMIT_DATA counts."""
        return int(self.status()["VmData"].split()[0])

    def descriptors(self):
        """How many are open."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def lowest_free(self):
        """The descriptor that it would get next."""
        used = set(os.listdir(f"/proc/{self._process.pid}/fd"))
        return next(number for number in range(len(used) + 1) if str(number) not in used)

    def threads(self):
        return int(self.status()["Threads"])

    @contextlib.contextmanager
    def limited(self, kind, limit):
        """It may have so much of a resource (setrlimit(2)), and afterwards as much as before."""
        before = resource.prlimit(self._process.pid, kind)
        resource.prlimit(self._process.pid, kind, (limit, before[1]))
        try:
            yield
        finally:
            resource.prlimit(self._process.pid, kind, before)

    def wakeups(self, seconds):
        """How often its threads are woken up in that time. One that ends meanwhile does not count."""
        before = self._sleeps()
        time.sleep(seconds)
        return sum(count - before.get(thread, 0) for thread, count in self._sleeps().items())

    def _sleeps(self):
        """How often each of its threads has gone to sleep so far."""
        sleeps = {}
        for thread in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            # It may end between the list and the look at it.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                sleeps[thread.name] = int(self.status(thread)["voluntary_ctxt_switches"])
        return sleeps

    def status(self, path=None):
        """What proc(5) says of the process, or of the thread at `path`: name → text."""
        text = ((path or pathlib.Path(f"/proc/{self._process.pid}")) / "status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
