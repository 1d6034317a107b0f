"""The kernel of the virtual machines: Debian's, unpacked and not installed, with every module ready to use."""

import functools
import pathlib
import subprocess

import cache


class Kernel:
    def __init__(self):
        self.directory = cache.once("kernel", unpack)
        self.image = next((self.directory / "boot").glob("vmlinuz-*"))
        self.version = self.image.name.removeprefix("vmlinuz-")

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


def unpack(path):
    dependencies = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], text=True, capture_output=True)
    packages = [line.split()[-1] for line in dependencies.stdout.splitlines() if "Depends: linux-image-" in line]
    if not packages:
        raise cache.SetupError("no package linux-image-amd64 is known; run `apt-get update`")
    cache.debian_package(packages[0], path)
    version = packages[0].removeprefix("linux-image-")
    subprocess.run(["depmod", "-b", path, version], check=True)
