"""The file system of a virtual machine: an uncompressed initramfs. A cpio archive is nothing but headers of hex
numbers; written here, it needs neither a directory tree nor root for its device node.
"""

import pathlib
import shutil
import stat
import subprocess

import cache

GUEST = pathlib.Path(__file__).parent / "guest"


class Image:
    def __init__(self):
        self._entries = {}

    def add(self, path, data=b"", mode=stat.S_IFREG | 0o755, device=(0, 0)):
        """One entry; directories above it come by themselves."""
        for parent in reversed(pathlib.PurePosixPath(path).parents[:-1]):
            self._entries.setdefault(str(parent), (b"", stat.S_IFDIR | 0o755, (0, 0)))
        self._entries[path] = (data, mode, device)

    def add_program(self, path, program):
        """A program of the build machine with the shared libraries that it is linked to."""
        self.add(path, pathlib.Path(program).read_bytes())
        listed = subprocess.run(["ldd", program], text=True, capture_output=True).stdout
        for line in listed.splitlines():
            if "not found" in line:
                raise cache.SetupError(f"{program}: {line.strip()}")
            library = next((word for word in line.split() if word.startswith("/")), None)
            if library:
                self.add(library[1:], pathlib.Path(library).read_bytes())

    def write(self, path):
        with open(path, "wb") as file:
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


def machine(kernel, modules, programs):
    """An image that loads `modules`, and has busybox, the helpers of guest/ and `programs` ({path: program})."""
    image = Image()
    image.add("dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1))
    image.add("init", (GUEST / "init").read_bytes())
    image.add("bin/busybox", pathlib.Path(shutil.which("busybox")).read_bytes())
    for directory in ("proc", "sys", "run", "tmp"):
        image.add(directory, mode=stat.S_IFDIR | 0o755)
    for source in GUEST.glob("*.c"):
        image.add(f"bin/{source.stem}", cache.compiled(source).read_bytes())
    for path, program in programs.items():
        image.add_program(path, program)
    order = kernel.load_order(modules)
    for file, _ in order:
        image.add(f"lib/modules/{file.name}", file.read_bytes())
    listing = "".join(f"/lib/modules/{file.name} {parameters}\n" for file, parameters in order)
    image.add("etc/modules", listing.encode())
    return image


def udevd():
    """The udev daemon: without it Debian's libusb never hears that a device came or went."""
    return cache.once("udev", lambda path: cache.debian_package("udev", path)) / "bin" / "udevadm"
