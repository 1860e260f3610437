"""Peak memory of a reconstruction against that of its input and output, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most

_CODE = """
import resource
import numpy as np
from atomseg_app import operations
from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
size, tilts = {size}, tuple(np.arange(-75, 74, 2.0))
operation = operations.get("reconstruct")
def run(views):
    series = TiltSeries(views, (None, None), tilt_deg=tilts)
    return operations.run(operation, (series,), operation.parse({{"algorithm": "{name}", "iterations": 2}}), Report())
views = np.random.default_rng(0).random((len(tilts), size, size), np.float32)
run(views[:, :32, :32].copy())
scale = 1 if __import__("sys").platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
volume = run(views)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
print((views.nbytes + peak - before) / (views.nbytes + volume.values.nbytes))
"""
_TITLE = """Peak memory of reconstructing 256 slices of 256 x 256 from 75 views, as a multiple of views and volume
together (float32); the views are counted, the program itself is not."""


def memory() -> list[Bar]:
    """Print the table; gives the bars."""
    rows: list[list[object]] = []
    bars = []
    for name in ("sirt", "mlem", "fbp", "tv"):
        code = _CODE.format(size=256, name=name)
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        times = float(done.stdout.split()[-1])
        rows.append([name, times])
        bars.append(at_most(f"peak memory of 256^3, {name}", 3, times, "times input and output"))
    print_table(_TITLE, ["method", "times input and output"], rows)
    return bars
