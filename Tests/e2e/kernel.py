"""The kernel of a virtual machine: Debian's, unpacked and not installed, with every module ready to use."""

import functools
import lzma
import pathlib
import struct
import subprocess

import cache
import debian


class Kernel:
    def __init__(self, architecture):
        self.directory = cache.once(f"kernel-{architecture.name}", functools.partial(unpack, architecture))
        self.image = self.directory / "vmlinux"
        self.version = next((self.directory / "lib" / "modules").iterdir()).name

    def load_order(self, modules):
        """Files of `modules` (each a name with its parameters) and of what they need, as (path, parameters)."""
        order = {}
        for module in modules:
            name, *parameters = module.split()
            for path in self._files(name):
                order.setdefault(path, "")
            if parameters:
                order[path] = " ".join(parameters)
        return list(order.items())

    @functools.cache
    def _files(self, name):
        shown = subprocess.run(
            ["modprobe", "-d", self.directory, "-S", self.version, "--show-depends", name],
            text=True, capture_output=True)
        if shown.returncode != 0:
            raise cache.SetupError(f"kernel {self.version} has no module {name}: {shown.stderr.strip()}")
        lines = (line.split() for line in shown.stdout.splitlines())
        return [pathlib.Path(words[1]) for words in lines if words[0] == "insmod"]


def unpack(architecture, path):
    with debian.packages(path, architecture.foreign) as packages:
        package = packages.dependency(architecture.kernel, "linux-image-")
        packages.unpack([package])
    version = package.removeprefix("linux-image-")
    cache.checked("depmod", "-b", path, version)
    bootable = (path / "boot" / f"vmlinuz-{version}").read_bytes()
    # "HdrS" stands in the header of an x86 kernel; ARM's are booted as they are.
    (path / "vmlinux").write_bytes(decompressed(bootable) if bootable[0x202:0x206] == b"HdrS" else bootable)


def decompressed(image):
    """The ELF file inside the bzImage of an x86 kernel. QEMU boots it as it is, which saves half of the time of a boot: what
    takes a kernel that decompresses itself seconds under emulation takes half a second here, and only once.
    Offsets are those of the kernel's Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length."""
    protected_mode = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[protected_mode + offset:][:length]
    # Behind the xz stream stands the size of what it unpacks to.
    return lzma.decompress(payload[:-4])
