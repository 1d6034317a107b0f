"""Scenarios at the same time, each in a process of its own."""

import argparse
import contextlib
import io
import multiprocessing
import multiprocessing.connection
import signal
import sys

# The scenarios are what this process has loaded.
FORK = multiprocessing.get_context("fork")
# Seconds that one may take to end what it has begun.
PATIENCE = 30


def positive(text):
    """How many at a time, as an option says it."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of scenarios")
    return int(text)


def run_all(jobs, run, tasks):
    """What `run(*task)` returned for each, in the order in which they ended. With several jobs a task's output is printed
    when it has ended.
    """
    if jobs == 1:
        return [run(*task) for task in tasks]
    results, waiting, running = [], list(tasks), {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                child = _Child(run, waiting.pop(0))
                running[child.answer] = child
            for answer in multiprocessing.connection.wait(running):
                results.append(running.pop(answer).result())
    finally:
        for child in running.values():
            child.end()
    return results


class _Child:
    """A task at work; `answer` is readable when it has ended."""

    def __init__(self, run, task):
        self._name = task[0]
        self.answer, theirs = FORK.Pipe(duplex=False)
        self._process = FORK.Process(target=_work, args=(theirs, run, task))
        self._process.start()
        theirs.close()

    def result(self):
        try:
            result, text = self.answer.recv()
        except EOFError:
            result, text = None, ""
        self._process.join()
        print(text, end="", flush=True)
        if result is None:
            raise RuntimeError(f"{self._name} was ended, with status {self._process.exitcode}")
        return result

    def end(self):
        """It gives up, and ends what it has begun."""
        self._process.terminate()
        self._process.join(PATIENCE)
        self._process.kill()


def _work(answer, run, task):
    # Whoever ends the run ends the first process, and that ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    result = None
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            result = run(*task)
        finally:
            answer.send((result, said.getvalue()))
