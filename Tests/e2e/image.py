"""The file system of a virtual machine: an initramfs. A cpio archive is nothing but headers of hex
numbers; written here, it needs neither a directory tree nor root for its device node.
"""

import gzip
import pathlib
import stat

import cache

GUEST = pathlib.Path(__file__).parent / "guest"


class Image:
    def __init__(self, architecture):
        self._architecture = architecture
        self._entries = {}

    def add(self, path, data=b"", mode=stat.S_IFREG | 0o755, device=(0, 0)):
        """One entry; directories above it come by themselves."""
        for parent in reversed(pathlib.PurePosixPath(path).parents[:-1]):
            self._entries.setdefault(str(parent), (b"", stat.S_IFDIR | 0o755, (0, 0)))
        self._entries[path] = (data, mode, device)

    def add_program(self, path, program):
        """A program with the shared libraries that it is linked to."""
        self.add(path, program.read_bytes())
        for place, library in self._architecture.libraries(program):
            self.add(place, library.read_bytes())

    def write(self, path, compressed):
        """`compressed`: half of the memory while the kernel unpacks it, and more time."""
        with (gzip.open if compressed else open)(path, "wb") as file:
            for name, entry in self._entries.items():
                file.write(cpio(name, *entry))
            file.write(cpio("TRAILER!!!", b"", 0, (0, 0)))


def cpio(name, data, mode, device):
    encoded = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
    return padded(header) + padded(data)


def padded(data):
    return data + bytes(-len(data) % 4)


def machine(architecture, kernel, modules, programs):
    """An image that loads `modules`, and has busybox, the helpers of guest/ and `programs` ({path: program})."""
    image = Image(architecture)
    image.add("dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1))
    image.add("init", (GUEST / "init").read_bytes())
    image.add("bin/busybox", architecture.busybox().read_bytes())
    for directory in ("proc", "sys", "run", "tmp"):
        image.add(directory, mode=stat.S_IFDIR | 0o755)
    for source in GUEST.glob("*.c"):
        image.add_program(f"bin/{source.stem}", cache.compiled(source, architecture))
    for path, program in programs.items():
        image.add_program(path, program)
    order = kernel.load_order(modules)
    for file, _ in order:
        image.add(f"lib/modules/{file.name}", file.read_bytes())
    listing = "".join(f"/lib/modules/{file.name} {parameters}\n" for file, parameters in order)
    image.add("etc/modules", listing.encode())
    return image
