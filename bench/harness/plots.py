"""Plots of results, by gnuplot: SVG, so that they can be read at any size and lie in a repository."""

import subprocess

from harness import figures
from harness.servers import SERVERS, title

COLOURS = {
    "ordinary": "#1f77b4", "embedded": "#2ca02c", "reference": "#ff7f0e", "reference-no-delay": "#bcbd22",
    "usbredirect": "#d62728", "floor": "#7f7f7f"}
HEAD = """set terminal svg size 860,430 font "sans-serif,12" background "white"
set output "{path}"
set title "{title}"
set key outside right
set grid ytics
"""
SIZES = (512, 16384, 65536)
DEVICES = (1, 8, 32)


def _plural(devices):
    return "1 device" if devices == 1 else f"{devices} devices"


def _number(number):
    return "NaN" if number is None else f"{number:.6g}"


def _plot(path, heading, settings, labels, series, style):
    """Series by name, one number for each label."""
    data = "$data << END\n" + "\n".join(
        " ".join([f'"{label}"', *(_number(numbers[i]) for numbers in series.values())]) for i, label in enumerate(labels)) + "\nEND\n"
    parts = [
        f'$data using {2 + i}:xtic(1) with {style} linecolor rgb "{COLOURS.get(name, "#9467bd")}" title "{title(name)}"'
        for i, name in enumerate(series)]
    script = HEAD.format(path=path, title=heading) + settings + data + "plot " + ", ".join(parts) + "\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def _series(results, scenario_of, labels, figure_of):
    found = {
        name: [figures.value(results, scenario_of(label), name, figure_of(label)) for label in labels] for name in SERVERS}
    return {name: numbers for name, numbers in found.items() if any(number is not None for number in numbers)}


def _latencies(results, directory, rate, devices):
    scenario, percentiles = f"interrupt-{rate}x{devices}", ("p50", "p90", "p99", "p99.9")
    series = _series(results, lambda _: scenario, percentiles, lambda percentile: percentile)
    if series:
        _plot(directory / f"latency-{rate}x{devices}.svg",
              f"Report ready in the device to received by the guest, {rate // 1000} kHz, {_plural(devices)}",
              'set logscale y\nset ylabel "µs"\n', percentiles, series, "linespoints linewidth 2 pointtype 7")


def _cpu(results, directory):
    series = _series(results, lambda devices: f"interrupt-1000x{devices}", DEVICES, lambda _: "cpu")
    if series:
        _plot(directory / "cpu.svg", "CPU per report at 1 kHz on each device", 'set logscale y\nset ylabel "µs"\n',
              [_plural(devices) for devices in DEVICES], series, "linespoints linewidth 2 pointtype 7")


def _bulk(results, directory):
    labels = [(direction, size) for direction in ("in", "out") for size in SIZES]
    series = _series(results, lambda label: f"bulk-{label[0]}-{label[1]}", labels, lambda _: "throughput")
    if series:
        _plot(directory / "bulk.svg", "Bulk, 8 devices, 4 requests in flight on each",
              'set logscale y\nset ylabel "MB/s"\nset style fill solid 0.9\nset style histogram clustered\n',
              [f"{direction.upper()} {size}" for direction, size in labels], series, "histograms")


def draw(results, directory):
    """Writes those that there are numbers for."""
    for rate in (1000, 8000):
        for devices in DEVICES:
            _latencies(results, directory, rate, devices)
    _cpu(results, directory)
    _bulk(results, directory)
