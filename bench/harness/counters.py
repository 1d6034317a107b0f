"""What bench/count-calls.c counts in one process."""

import struct
import tempfile

from harness.paths import BUILD

LIBRARY = BUILD / "count-calls.so"
ALLOCATIONS = ("allocations", "libusb_allocations")
# The order of count-calls.c.
NAMES = ALLOCATIONS + (
    "epoll_wait", "poll", "select", "ioctl", "read", "write", "readv", "writev", "send", "recv", "epoll_ctl",
    "timerfd_settime", "sockopt")


class Counters:
    """The file that one process counts into."""

    def __init__(self):
        self._file = tempfile.NamedTemporaryFile(prefix="usbredir-bench-")
        self._file.write(bytes(8 * len(NAMES)))
        self._file.flush()

    @property
    def path(self):
        return self._file.name

    def read(self):
        with open(self.path, "rb") as file:
            return dict(zip(NAMES, struct.unpack(f"{len(NAMES)}Q", file.read(8 * len(NAMES)))))
