"""Lets a server's libraries find no memory, and the server no threads (scarcity.c)."""

import contextlib
import mmap
import pathlib
import struct
import tempfile

PRELOADED = pathlib.Path(__file__).resolve().parent.parent.parent / "build/robustness/scarcity.so"
FIELD = struct.Struct("@q")
AFTER, COUNT, FAILED = range(3)
MEMORY, THREADS = 0, 3
ALL = 1 << 62


class Scarcity:
    """`launcher` goes in front of the program that it is for."""

    def __init__(self):
        if not PRELOADED.exists():
            raise AssertionError("there is no scarcity.so; it is built by `make robustness`")
        self._file = tempfile.NamedTemporaryFile()
        self._file.truncate(6 * FIELD.size)
        self._fields = mmap.mmap(self._file.fileno(), 6 * FIELD.size)
        self.has_failed = False
        self.launcher = ["env", f"LD_PRELOAD={PRELOADED}", f"SCARCITY={self._file.name}"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._fields.close()
        self._file.close()

    @contextlib.contextmanager
    def once(self, what, after):
        """One request fails, behind `after` that go well; `has_failed` says later whether there were so many."""
        self.start(what, 1, after)
        try:
            yield
        finally:
            self.has_failed = self.stop(what) > 0

    def start(self, what, count=ALL, after=0):
        """`count` requests fail behind `after` that go well."""
        self._put(what + AFTER, after)
        self._put(what + FAILED, 0)
        self._put(what + COUNT, count)

    def stop(self, what):
        """How many have failed."""
        self._put(what + COUNT, 0)
        return FIELD.unpack_from(self._fields, (what + FAILED) * FIELD.size)[0]

    def _put(self, field, value):
        FIELD.pack_into(self._fields, field * FIELD.size, value)
