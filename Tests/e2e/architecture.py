"""The processors of virtual machines: which QEMU and kernel each has, and where its programs and libraries come from.

A machine with the build machine's processor takes them from there. One with another is made of Debian packages for
that, and of cross-compiled helpers.
"""

import pathlib
import shutil
import subprocess
from dataclasses import dataclass

import cache
import debian

# busybox, udev's daemon, and the libraries of that and of the server.
FOREIGN_PACKAGES = [
    "busybox-static", "udev", "libc6", "libevent-core-2.1-7", "libusb-1.0-0", "libudev1", "libkmod2", "libacl1",
    "libblkid1", "libcap2", "liblzma5", "libpcre2-8-0", "libselinux1", "libssl3", "libzstd1"]


@dataclass(frozen=True)
class Architecture:
    name: str  # Debian's
    elf: int  # e_machine of its programs
    kernel: str  # Debian's package
    qemu: tuple
    kernel_arguments: str  # the first serial port is the console
    shell: str  # the second, as the kernel calls it
    second_port: tuple  # arguments of QEMU that make it, of the chardev "shell"


class Native(Architecture):
    foreign = None
    # Static: a machine without the server has no libraries.
    compiler = ("gcc", "-static")

    @property
    def tools(self):
        """What the build machine has to have."""
        return self.qemu[0], "busybox", "gcc", "ldd"

    def busybox(self):
        return pathlib.Path(shutil.which("busybox"))

    def udevd(self):
        return cache.once("udev", self._unpack_udev) / "bin" / "udevadm"

    def libraries(self, program):
        """The shared libraries that a program needs, as (path in the machine, file)."""
        listed = subprocess.run(["ldd", program], text=True, capture_output=True).stdout
        for line in listed.splitlines():
            if "not found" in line:
                raise cache.SetupError(f"{program}: {line.strip()}")
            library = next((word for word in line.split() if word.startswith("/")), None)
            if library:
                yield library[1:], pathlib.Path(library)

    def _unpack_udev(self, path):
        with debian.packages(path) as packages:
            packages.unpack(["udev"])


@dataclass(frozen=True)
class Foreign(Architecture):
    gnu: str  # its name in those of the compiler and of folders of libraries

    @property
    def foreign(self):
        """What apt has to be told to speak of it."""
        return self.name

    @property
    def compiler(self):
        return (f"{self.gnu}-gcc",)

    @property
    def tools(self):
        return self.qemu[0], *self.compiler, "readelf"

    def busybox(self):
        return self._root() / "bin" / "busybox"

    def udevd(self):
        return self._root() / "bin" / "udevadm"

    def libraries(self, program):
        found, ahead = {}, [program]
        while ahead:
            for name in needed(ahead.pop()):
                if name not in found:
                    found[name] = self._library(name)
                    ahead.append(found[name])
        # The loader has to be in this folder, and finds the others there.
        return [(f"lib/{name}", file) for name, file in found.items()]

    def _library(self, name):
        for folder in (f"lib/{self.gnu}", f"usr/lib/{self.gnu}"):
            file = self._root() / folder / name
            if file.exists():
                return file
        raise cache.SetupError(f"no {name} of {self.name} in {', '.join(FOREIGN_PACKAGES)}")

    def _root(self):
        return cache.once(f"root-{self.name}", self._unpack_root)

    def _unpack_root(self, path):
        with debian.packages(path, self.foreign) as packages:
            packages.unpack(FOREIGN_PACKAGES)


NATIVE = Native(
    name="amd64", elf=62, kernel="linux-image-amd64", qemu=("qemu-system-x86_64", "-cpu", "max"),
    # no_timer_check: on a busy machine the kernel would find its timer too slow, and panic.
    kernel_arguments="console=ttyS0 no_timer_check", shell="ttyS1", second_port=("-serial", "chardev:shell"))

# QEMU's board has one serial port of its own. Debian's kernels have gadgets and dummy_hcd, as on x86.
BOARD = {
    "kernel_arguments": "console=ttyAMA0", "shell": "ttyS0", "second_port": ("-device", "pci-serial,chardev=shell")}

ARM64 = Foreign(
    name="arm64", elf=183, kernel="linux-image-arm64", gnu="aarch64-linux-gnu",
    qemu=("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a57"), **BOARD)

# highmem=off: the PCI bus is where a kernel without LPAE reaches it.
ARMV7 = Foreign(
    name="armhf", elf=40, kernel="linux-image-armmp", gnu="arm-linux-gnueabihf",
    qemu=("qemu-system-arm", "-machine", "virt,highmem=off", "-cpu", "cortex-a15"), **BOARD)


def of_program(path):
    """The architecture that a program is for."""
    with open(path, "rb") as file:
        header = file.read(20)
    for architecture in (NATIVE, ARM64, ARMV7):
        if header.startswith(b"\x7fELF") and header[18:] == architecture.elf.to_bytes(2, "little"):
            return architecture
    raise cache.SetupError(f"{path} is for no processor that there are machines of")


def needed(file):
    """Names of the libraries that an ELF file asks for."""
    dynamic = cache.checked("readelf", "-dW", file)
    return [line[line.index("[") + 1:line.index("]")] for line in dynamic.splitlines() if "(NEEDED)" in line]
