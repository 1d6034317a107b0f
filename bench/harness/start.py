"""Starts programs on one processor, in real time or not."""

import contextlib
import os
import subprocess

# Each above what it must never wait for.
SERVER, GUESTS, HARNESS, ENGINE = 10, 20, 30, 40


@contextlib.contextmanager
def _as(cpu, priority):
    """The calling thread is where, and what, its children are to be. Nothing is then left to do between fork and exec."""
    affinity, policy, parameters = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO if priority else os.SCHED_OTHER, os.sched_param(priority or 0))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)
        os.sched_setaffinity(0, affinity)


def start(command, cpu, priority, **options):
    """A process; a `priority` of None is an ordinary one."""
    with _as(cpu, priority):
        return subprocess.Popen(list(map(str, command)), **{"stdin": subprocess.DEVNULL, **options})


def become_real_time(cpu):
    """This process is not to wait for what it measures."""
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(HARNESS))
