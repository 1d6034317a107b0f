"""Lets a server's libraries find no memory, and the server no threads (scarcity.c)."""

import contextlib
import mmap
import pathlib
import struct
import tempfile
import time

PRELOADED = pathlib.Path(__file__).resolve().parent.parent.parent / "build/robustness/scarcity.so"
FIELD = struct.Struct("@q")
AFTER, COUNT, FAILED, UNTIL = range(4)
FIELDS = 4
MEMORY, THREADS = 0, FIELDS
ALL = (1 << 63) - 1


class Scarcity:
    """`launcher` goes in front of the program that it is for."""

    def __init__(self):
        if not PRELOADED.exists():
            raise AssertionError("there is no scarcity.so; it is built by `make robustness`")
        self._file = tempfile.NamedTemporaryFile()
        self._file.truncate(2 * FIELDS * FIELD.size)
        self._fields = mmap.mmap(self._file.fileno(), 2 * FIELDS * FIELD.size)
        self.has_failed = False
        self.launcher = ["env", f"LD_PRELOAD={PRELOADED}", f"SCARCITY={self._file.name}"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._fields.close()
        self._file.close()

    @contextlib.contextmanager
    def lacking(self, what, after, count=1):
        """`count` requests fail, behind `after` that go well; `has_failed` says later whether there were so many."""
        self.start(what, count, after)
        try:
            yield
        finally:
            self.has_failed = self.stop(what) > 0

    def start(self, what, count=ALL, after=0, seconds=None):
        """`count` requests fail behind `after` that go well, within `seconds` or at any time."""
        self._put(what + UNTIL, ALL if seconds is None else time.monotonic_ns() + int(seconds * 1e9))
        self._put(what + AFTER, after)
        self._put(what + FAILED, 0)
        self._put(what + COUNT, count)

    def stop(self, what):
        """How many have failed."""
        self._put(what + COUNT, 0)
        return FIELD.unpack_from(self._fields, (what + FAILED) * FIELD.size)[0]

    def _put(self, field, value):
        FIELD.pack_into(self._fields, field * FIELD.size, value)
