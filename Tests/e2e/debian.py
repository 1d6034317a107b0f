"""Packages of the distribution, downloaded and unpacked without being installed; of another architecture as well."""

import contextlib
import shutil
import subprocess

from cache import SetupError, checked


@contextlib.contextmanager
def packages(path, architecture=None):
    """A source of packages, which unpacks into `path`. `architecture` is another one than the build machine's: apt
    then gets lists and a status of its own, gone afterwards."""
    if not architecture:
        yield Packages(path, [])
        return
    state = path / ".apt"
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "status").touch()
    settings = [f"Dir::State::Lists={state}/lists", f"Dir::State::Status={state}/status", f"Dir::Cache={state}",
                f"APT::Architecture={architecture}", f"APT::Architectures::={architecture}", "APT::Sandbox::User=root"]
    options = [word for setting in settings for word in ("-o", setting)]
    # One list that cannot be had is no reason to stop: the download fails if it matters.
    subprocess.run(["apt-get", "-qq", *options, "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield Packages(path, options)
    shutil.rmtree(state)


class Packages:
    def __init__(self, path, options):
        self._path = path
        self._options = options

    def unpack(self, names):
        checked("apt-get", *self._options, "download", *names, cwd=self._path)
        for archive in self._path.glob("*.deb"):
            checked("dpkg-deb", "-x", archive, self._path)
            archive.unlink()

    def dependency(self, name, prefix):
        """The package that `name` stands for: the one it depends on whose name begins with `prefix`."""
        shown = subprocess.run(["apt-cache", *self._options, "depends", name], text=True, capture_output=True).stdout
        found = [line.split()[-1] for line in shown.splitlines() if f"Depends: {prefix}" in line]
        if not found:
            raise SetupError(f"no package {name} is known; run `apt-get update`")
        return found[0]
