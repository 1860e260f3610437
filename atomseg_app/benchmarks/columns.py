"""Figures of *Find columns*: accuracy against the bound, honesty of error bars, time, memory, real images.

``atomseg bench columns`` prints them all, and the figures of detection after them. The peer is atomap, from this
environment or from the one whose Python the variable ``ATOMSEG_PEER_PYTHON`` names; without it its columns stay empty.
Where the variable ``ATOMSEG_FIGURES`` names a folder, the cost is drawn there as ``columns_cost.png``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from atomseg_app import operations
from atomseg_app.atoms.bound import position_bound
from atomseg_app.atoms.operations import FIND_COLUMNS
from atomseg_app.benchmarks import detection
from atomseg_app.benchmarks.plot import Curve, write_log_log
from atomseg_app.benchmarks.spacings import scatter, translations
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import FLAG_EDGE, Array, Columns, Image
from atomseg_app.simulate.columns import Floats, TrueColumns, poisson, render, square_lattice

_SIZE_PX, _SPACING_PX, _SIGMA_PX, _DISPLACED_PX = 1024, 20.0, 4.0, 0.35
_MATCH = 0.25  # match radius in spacings; a column missed or wrong counts with this error
_REPEATS = 3
_COST_SIZES = (512, 1024, 2048, 4096)
_SILICON = {"Si110_5nmX25us_03_none_none.png": 7.0, "02_8nm_1024px_16us_linesync_none_none.png": 7.0}


def run() -> int:
    """Print all tables. Returns 0."""
    _accuracy()
    _calibration()
    _cost()
    folder = os.environ.get("ATOMSEG_FIGURES")
    linearity(Path(folder) / "columns_cost.png" if folder else None)
    _silicon()
    return detection.run()


@dataclass(frozen=True)
class Score:
    """How found positions compare with the truth; ``ratio`` is rms of error / bound with misses counted."""

    ratio: float
    rms_px: float
    recall: float
    precision: float


def simulated(size_px: int, peak: float, seed: int, spacing_px: float = _SPACING_PX) -> tuple[TrueColumns, Floats]:
    """The benchmark's image: amplitudes 0.7-1.3, background 0.3, displaced 0.35 px at random, Poisson counts."""
    rng = np.random.default_rng(seed)
    truth = square_lattice(size_px, spacing_px, rng, displacement_px=_DISPLACED_PX, sigma_px=_SIGMA_PX, peak=peak)
    return truth, poisson(render(truth, (size_px, size_px)), rng)


def find(values: npt.NDArray[np.generic]) -> Columns:
    """The operation with nothing set, as a user runs it."""
    found = operations.run(FIND_COLUMNS, (Image(values),), FIND_COLUMNS.parse({}), operations.Report())
    assert isinstance(found, Columns)
    return found


def match(truth: TrueColumns, xy_px: Floats, radius_px: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Nearest found position of each true column (n,) and whether they are each other's nearest within a radius."""
    points = np.stack([truth.x_px, truth.y_px], axis=1)
    if not len(xy_px):
        return np.zeros(len(points), np.int64), np.zeros(len(points), bool)
    distance, to = cKDTree(xy_px).query(points)
    back = cKDTree(points).query(xy_px)[1]
    return to, (distance < radius_px) & (back[to] == np.arange(len(points)))


def score(truth: TrueColumns, xy_px: Floats) -> Score:
    """Score of positions (m, 2); missed columns and false ones both count with an error of the match radius."""
    radius = _MATCH * _SPACING_PX
    to, matched = match(truth, xy_px, radius)
    columns = zip(truth.x_px, truth.y_px, truth.amplitude, truth.sigma_px, truth.background, strict=True)
    bound = np.array([position_bound(*column) for column in columns])
    error = np.full((len(to), 2), radius / np.sqrt(2))
    if matched.any():
        error[matched] = (xy_px[to] - np.stack([truth.x_px, truth.y_px], axis=1))[matched]
    false = len(xy_px) - int(matched.sum())
    extra = np.full((false, 2), radius / np.sqrt(2) / np.median(bound)) if false else np.zeros((0, 2))
    return Score(
        float(np.sqrt(np.mean(np.concatenate([error / bound, extra]) ** 2))),
        float(np.sqrt(np.mean(error**2))),
        float(matched.mean()),
        float(matched.sum() / max(len(xy_px), 1)),
    )


def peer(values: npt.NDArray[np.generic], *, xy_px: Floats | None = None) -> dict[str, Array] | None:
    """What atomap makes of an image from start positions, or from the benchmark's spacing; None where it is absent."""
    python = os.environ.get("ATOMSEG_PEER_PYTHON") or (sys.executable if find_spec("atomap") else None)
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "in.npz", Path(folder) / "out.npz"
        start = {"separation": np.array(_SPACING_PX / 2)} if xy_px is None else {"xy": xy_px}
        np.savez(given, image=values, **start)
        script = Path(__file__).with_name("peer_atomap.py")
        subprocess.run([python, "-W", "ignore", str(script), str(given), str(result)], check=True, capture_output=True)
        with np.load(result, allow_pickle=False) as out:
            return {name: out[name] for name in out.files}


def _accuracy() -> None:
    rows = []
    for peak in (50.0, 5.0):
        truth, values = simulated(_SIZE_PX, peak, 1)
        ours = score(truth, find(values).xy_px)
        rows.append([f"{peak:g}", "AtomSeg", ours.ratio, ours.rms_px, ours.recall, ours.precision])
        other = peer(values)
        if other is not None:
            theirs = score(truth, other["xy"])
            rows.append([f"{peak:g}", "atomap", theirs.ratio, theirs.rms_px, theirs.recall, theirs.precision])
    print_table(
        "Accuracy: 2,500 columns, 1024 x 1024, spacing 20 px, sigma 4 px, displaced 0.35 px at random. Bound of each\n"
        "column by itself, with its amplitude, background and width unknown. Missed and false columns count with the\n"
        f"match radius ({_MATCH * _SPACING_PX:g} px).",
        ["counts at peak", "program", "rms of error / bound", "rms error (px)", "recall", "precision"],
        rows,
    )


def _calibration() -> None:
    rows = []
    for peak in (5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0):
        error, bar = [], []
        for seed in range(_REPEATS):
            truth, values = simulated(512, peak, 100 + seed)
            table = find(values).table
            xy = np.stack([table["x_px"], table["y_px"]], axis=1)
            to, matched = match(truth, xy, _MATCH * _SPACING_PX)
            error.append((xy[to] - np.stack([truth.x_px, truth.y_px], axis=1))[matched])
            bar.append(np.stack([table["x_err_px"], table["y_err_px"]], axis=1)[to][matched])
        errors, bars = np.concatenate(error), np.concatenate(bar)
        inside = [float(np.mean(np.abs(errors) < k * bars)) for k in (1, 2)]
        rows.append([f"{peak:g}", float(np.sqrt(np.mean(errors**2))), float(np.sqrt(np.mean(bars**2))), *inside])
    print_table(
        "Honesty of error bars: share of true errors inside one and two error bars (0.683 and 0.954 if honest).",
        ["counts at peak", "rms error (px)", "rms error bar (px)", "inside 1", "inside 2"],
        rows,
    )


_COST_SCRIPT = """
import json, sys, threading, time
import numpy as np, psutil
from atomseg_app.benchmarks.columns import find, simulated
size, repeats, spacing = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
find(simulated(256, 50.0, 9)[1])
values = simulated(size, 50.0, 1, spacing)[1]
process = psutil.Process()
idle, peak, done = process.memory_info().rss, [0], threading.Event()
def watch():
    while not done.wait(0.01):
        peak[0] = max(peak[0], process.memory_info().rss)
threading.Thread(target=watch, daemon=True).start()
wall, cpu = [], []
for _ in range(repeats):
    w, c = time.perf_counter(), time.process_time()
    count = len(find(values))
    wall.append(time.perf_counter() - w)
    cpu.append(time.process_time() - c)
done.set()
print(json.dumps([float(np.median(wall)), float(np.median(cpu)), peak[0] - idle, count]))
"""


def cost(size_px: int, repeats: int, spacing_px: float = _SPACING_PX) -> tuple[float, float, float, int]:
    """Median wall and processor seconds, peak bytes above idle, and columns found, in a warm process of its own."""
    import json

    command = [sys.executable, "-c", _COST_SCRIPT, str(size_px), str(repeats), str(spacing_px)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}  # as the window's compute process has it
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    wall, cpu, extra, count = json.loads(out.strip().splitlines()[-1])
    return float(wall), float(cpu), float(extra), int(count)


def _cost() -> None:
    import time

    rows = []
    for size, repeats, spacing in ((1024, 5, _SPACING_PX), (4096, _REPEATS, 28.8)):
        wall, cpu, extra, count = cost(size, repeats, spacing)
        rows.append([f"find, {size} x {size}", "AtomSeg", count, wall, cpu, extra / 2**20])
    truth, values = simulated(_SIZE_PX, 50.0, 1)
    other = peer(values)
    if other is not None:
        rows.append(["find, 1024 x 1024", "atomap", len(other["xy"]), float(other["seconds"]), "",
                     float(other["peak_bytes"]) / 2**20])  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, values.astype(np.uint16))
        seconds = []
        for _ in range(_REPEATS):
            began = time.perf_counter()
            command = [sys.executable, "-m", "atomseg_app.cli", "find-columns", str(path), "--overwrite"]
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    rows.append(["command, 1024 x 1024", "AtomSeg", len(truth.x_px), float(np.median(seconds)), "", ""])
    print_table(
        "Time and memory above idle; find: warm process, median; command: with start and imports, median.",
        ["what", "program", "columns", "wall (s)", "processor (s)", "memory (MiB)"],
        rows,
    )


def linearity(picture: Path | None = None, sizes: Sequence[int] = _COST_SIZES) -> None:
    """Print the cost for images of several sizes (px), and draw it where a file is named."""
    rows: list[list[float]] = []
    for size in sizes:
        wall, cpu, extra, count = cost(size, _REPEATS)
        rows.append([size, count, wall, 1e3 * wall / count, 1e3 * cpu / count, extra / 2**20])
    print_table(
        "Cost against the number of columns (constant time a column = linear).",
        ["size (px)", "columns", "wall (s)", "wall a column (ms)", "processor a column (ms)", "memory (MiB)"],
        rows,
    )
    if picture is not None:
        write_cost(rows, picture)


def write_cost(rows: list[list[float]], path: Path) -> None:
    """Plot of wall seconds and memory (MiB) against columns, from rows of the table of costs."""
    table = np.array(rows, float)
    curves = [
        Curve("time (s), median", table[:, 1], table[:, 2], (31, 90, 160)),
        Curve("memory above idle (MiB)", table[:, 1], table[:, 5], (190, 90, 20)),
    ]
    write_log_log(curves, "Find columns: cost; dashed: linear", "columns", path)


def _silicon() -> None:
    folder = os.environ.get("ATOMSEG_TEST_DATA", "")
    rows: list[list[object]] = []
    for name, spread in _SILICON.items():
        path = Path(folder) / "micrographs" / name
        if not folder or not path.is_file():
            rows.append([name, "absent: set ATOMSEG_TEST_DATA", "", "", "", "", ""])
            continue
        from atomseg_app.io.files import read

        image = read(path)
        assert isinstance(image, Image)
        table = find(image.values).table
        xy = np.stack([table["x_px"], table["y_px"]], axis=1)[table["flag"] != FLAG_EDGE]
        other = peer(image.values, xy_px=xy)
        vectors = translations(xy, spread_px=0.6 * spread, reach_px=90.0)
        for program, positions in (("AtomSeg", xy), ("atomap", None if other is None else other["xy"])):
            if positions is None:
                continue
            spacing, bend = scatter(positions, vectors, spread_px=spread)
            rows.append([name, program, len(positions), *(float(v) for v in (*spacing, *bend))])
    print_table(
        "Real Si [110]: standard deviation of like-neighbour spacings, and of second differences / sqrt(3), in px.\n"
        "Both programs measure the same columns; atomap starts from the positions found here.",
        ["image", "program", "columns", "spacing x", "spacing y", "second difference x", "second difference y"],
        rows,
    )
