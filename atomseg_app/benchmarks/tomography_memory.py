"""Peak memory of a reconstruction against that of its input and output, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from atomseg_app.benchmarks.peak_memory import Peak
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most
from atomseg_app.errors import UserError

_SIZE, _ITERATIONS = 256, 2
_METHODS = ("sirt", "mlem", "fbp", "tv")
_TITLE = f"""Peak memory of reconstructing {_SIZE} slices of {_SIZE} x {_SIZE} from 75 views, as a multiple of views and
volume together (float32); the views are counted, the program itself is not."""


def memory() -> list[Bar]:
    """Print the table; gives the bars. Raises UserError where a process failed or what it measured cannot be."""
    rows: list[list[object]] = []
    bars = []
    for name in _METHODS:
        times = times_input_and_output(name, _SIZE)
        rows.append([name, times])
        bars.append(at_most(f"peak memory of {_SIZE}^3, {name}", 3, times, "times input and output"))
    print_table(_TITLE, ["method", "times input and output"], rows)
    return bars


def times_input_and_output(name: str, size_px: int) -> float:
    """Peak memory of a method in a fresh process, as a multiple of views and volume. Raises UserError as above."""
    command = [sys.executable, "-m", __name__, name, str(size_px)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise UserError(f"Measuring the memory of {name} failed with exit code {done.returncode}: {last}")
    return sensible(name, float(done.stdout.split()[-1]))


def sensible(name: str, times: float) -> float:
    """The multiple itself. Raises UserError below 1: views and volume are in memory together at the end."""
    if not times >= 1:
        raise UserError(
            f"Memory of {name} was measured as {times:.3g} times its input and output, which it holds at its end; the "
            "system does not tell this process its peak."
        )
    return times


def _measure(name: str, size_px: int) -> float:
    """Peak of this process while it reconstructs, kernels loaded before."""
    import numpy as np

    from atomseg_app.benchmarks.tomography import reconstructed

    tilts = tuple(np.arange(-75, 74, 2.0))
    views = np.random.default_rng(0).random((len(tilts), size_px, size_px), np.float32)
    settings = {"algorithm": name, "iterations": _ITERATIONS}
    reconstructed(views[:, :32, :32].copy(), tilts, **settings)
    peak = Peak()
    volume, _ = reconstructed(views, tilts, **settings)
    return (views.nbytes + peak.bytes_above_start()) / (views.nbytes + volume.values.nbytes)


if __name__ == "__main__":
    sys.stdout.write(f"{_measure(sys.argv[1], int(sys.argv[2]))}\n")
