"""Where things are."""

import pathlib

BENCH = pathlib.Path(__file__).resolve().parents[1]
ROOT = BENCH.parent
BUILD = ROOT / "build" / "bench"
