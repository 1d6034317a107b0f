"""The directory that survives a run: what was downloaded, unpacked or compiled is there the next time."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIRECTORY = pathlib.Path(os.environ.get("E2E_CACHE", ROOT / "build" / "e2e-cache"))


class SetupError(Exception):
    """The machine lacks something that the tier needs; the text says what to do."""


def once(name, fill):
    """The directory `name` of the cache; `fill(path)` makes it the first time. Only a complete one gets its name."""
    path = DIRECTORY / name
    if not path.exists():
        partial = DIRECTORY / (name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        fill(partial)
        partial.rename(path)
    return path


def debian_package(name, path):
    """Downloads a package of the distribution and unpacks it into `path`, without installing it."""
    for command in (["apt-get", "download", name], ["dpkg-deb", "-x", None, "."]):
        command = [word or str(next(path.glob("*.deb"))) for word in command]
        done = subprocess.run(command, cwd=path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise SetupError(f"{' '.join(command)} failed (is `apt-get update` due?):\n{done.stdout}")
    next(path.glob("*.deb")).unlink()


def compiled(source):
    """A static program made from one C file, newer than its source."""
    program = DIRECTORY / "guest" / source.stem
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", program, source], check=True)
    return program
