"""The directory that survives a run: what was downloaded, unpacked or compiled is there the next time."""

import contextlib
import fcntl
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
    if path.exists():
        return path
    with alone(name):
        if not path.exists():
            partial = DIRECTORY / (name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(path)
    return path


def compiled(source, architecture):
    """A program made from one C file, newer than its source."""
    folder = f"guest-{architecture.name}"
    program = DIRECTORY / folder / source.stem
    if is_newer(program, source):
        return program
    with alone(folder):
        if not is_newer(program, source):
            program.parent.mkdir(exist_ok=True)
            partial = program.with_suffix(".partial")
            checked(*architecture.compiler, "-s", "-O2", "-Wall", "-Werror", "-o", partial, source)
            partial.rename(program)
    return program


def is_newer(program, source):
    return program.exists() and program.stat().st_mtime >= source.stat().st_mtime


@contextlib.contextmanager
def alone(name):
    """No other scenario works on this part of the cache meanwhile."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with open(DIRECTORY / (name + ".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def checked(*command, cwd=None):
    """Runs a command that has to succeed; what it says."""
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SetupError(f"`{' '.join(map(str, command))}` failed:\n{done.stdout}")
    return done.stdout
