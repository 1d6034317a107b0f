"""Steps of a scenario, and the ways in which one fails: each says what was expected and what came instead."""

import contextlib
import textwrap
import time


class StepFailed(Exception):
    pass


class Steps:
    def __init__(self, verbose):
        self._verbose = verbose

    @contextlib.contextmanager
    def step(self, name):
        start = time.monotonic()
        try:
            yield
        except (AssertionError, OSError) as error:
            raise StepFailed(f"{name}: {error}") from error
        self.tell(f"{time.monotonic() - start:6.1f} s  {name}")

    def tell(self, text):
        """Lines that only --verbose shows."""
        if self._verbose:
            print(textwrap.indent(text, "    "), flush=True)


def wait_until(condition, timeout, what, watch=lambda: None, interval=0.1):
    """The first true value of `condition()`. `watch` may raise when waiting has become pointless."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        watch()
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(interval)


def expect(what, expected, actual):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def expect_same(what, expected, actual):
    """Two sequences, compared as a whole; the message shows where they part."""
    if expected == actual:
        return
    same = 0
    while same < min(len(expected), len(actual)) and expected[same] == actual[same]:
        same += 1
    around = slice(max(0, same - 8), same + 24)
    raise AssertionError(
        f"{what}: differs at {same} of {len(expected)} (received {len(actual)})\n"
        f"  expected …{expected[around]!r}…\n"
        f"  actual   …{actual[around]!r}…")
