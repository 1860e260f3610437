"""Figures of tomography: speed and accuracy of reconstruction, growth of its cost, memory, and a missing wedge.

``atomseg bench tomography`` prints them all, or those that the variable ``ATOMSEG_BENCH_PARTS`` names (speed, few,
growth, memory, wedge, gpu), and what they had to reach; ``ATOMSEG_BENCH_SEEDS`` names other seeds than 0,1,2,3 for the
first part, whose table comes seed by seed. The sample is random ellipsoids with tilt series in closed form
and 1 % noise (:mod:`~atomseg_app.simulate.ellipsoids`). Times are of the operation in a warm process, kernels compiled,
views in memory; memory is of a fresh process. Where other work keeps the cores busy, seconds are those of processors,
shared out to all cores. Peers are the ASTRA toolbox, from this environment or from the one whose Python the variable
``ATOMSEG_PEER_PYTHON`` names, and for a missing wedge the SART-TV recipe that TomoFillNet's authors compare with, on
this program's SART and scikit-image's TV. Where ``ATOMSEG_FIGURES`` names a folder, growth is drawn there.
"""

from __future__ import annotations

import os

import numpy as np

from atomseg_app import operations
from atomseg_app.benchmarks import options
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.tomography_gpu import gpu
from atomseg_app.benchmarks.tomography_growth import growth
from atomseg_app.benchmarks.tomography_memory import memory
from atomseg_app.benchmarks.tomography_peer import astra_sirt
from atomseg_app.benchmarks.tomography_wedge import wedge
from atomseg_app.benchmarks.verdicts import Bar, Spent, at_least, at_most, print_bars, spending
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import Floats, phantom
from atomseg_app.tomography.quality import nrmse, psnr_db

_SIZE, _TILTS = 256, tuple(np.arange(-75, 74, 2.0))
_FEW_SIZE, _FEW_SLICES, _FEW_TILTS = 512, 16, tuple(np.arange(-70, 70, 1.0))
_PEER_SLICES = 4
_SIRT, _MLEM, _FBP = "SIRT, 30 iterations", "MLEM, 30 iterations", "FBP, Hann"
_TITLE = f"""Reconstruction of {_SIZE} slices of {_SIZE} x {_SIZE} from {len(_TILTS)} views with 1 % noise.
PSNR against the true volume, whose range is its peak: a sample of low contrast has a lower one for the same error. rms
error over the rms of the truth; shift of the volume against the truth in voxels."""


def run() -> int:
    """Print the tables and what was to be reached; 1 if any of it was not. Raises UserError for an unknown part."""
    parts = {"speed": _speed, "few": _few_slices, "growth": growth, "memory": memory, "wedge": wedge, "gpu": gpu}
    bars = [bar for name in options.parts(parts) for bar in parts[name]()]
    return 0 if print_bars("What was to be reached", bars) else 1


def reconstructed(views: Floats, tilt_deg: tuple[float, ...], **settings: object) -> tuple[Volume, Spent]:
    """Volume of views (view, y, x) and the seconds that the operation took."""
    operation = operations.get("reconstruct")
    series = TiltSeries(views, (None, None), tilt_deg=tilt_deg)
    with spending() as spent:
        volume = operations.run(operation, (series,), operation.parse(settings), Report())
    assert isinstance(volume, Volume)
    return volume, spent


def _speed() -> list[Bar]:
    """Case A: SIRT, MLEM and FBP on each seed, ASTRA's SIRT on some of the slices of the first."""
    rows: list[list[object]] = []
    warm = phantom(64, 32, _TILTS, 0)[1]
    for algorithm in ("sirt", "mlem", "fbp"):
        reconstructed(warm, _TILTS, algorithm=algorithm, iterations=1)
    seconds: dict[str, list[float]] = {}
    psnr: dict[str, list[float]] = {}
    bars: list[Bar] = []
    shifts = []
    seeds = _seeds()
    for seed in seeds:
        rows.clear()
        truth, views = phantom(_SIZE, _SIZE, _TILTS, seed)
        for name, settings in (
            (_SIRT, {"algorithm": "sirt", "iterations": 30}),
            (_MLEM, {"algorithm": "mlem", "iterations": 30}),
            ("MLEM, iterations found", {"algorithm": "mlem"}),
            (_FBP, {"algorithm": "fbp", "positivity": False}),
            ("FBP, ramp", {"algorithm": "fbp", "filter": "ramp", "positivity": False}),
        ):
            volume, spent = reconstructed(views, _TILTS, **settings)
            reached, shift = psnr_db(truth, volume.values), offset_px(truth, volume.values)
            error = nrmse(truth, volume.values)
            rows.append([seed, name, spent.wall, spent.cpu, reached, error, shift])
            seconds.setdefault(name, []).append(spent.seconds)
            psnr.setdefault(name, []).append(reached)
            if name == _SIRT:
                shifts.append(shift)
                if seed == seeds[0]:
                    more, bars = _peer_rows(seed, truth, views, volume.values, spent)
                    rows += more
        print_table(_TITLE, ["seed", "method", "seconds", "CPU s", "PSNR dB", "rms error", "shift px"], rows)
    return [
        at_most(f"{_SIRT}, slowest seed", 4.5, max(seconds[_SIRT]), "s"), *bars,
        at_most("shift of SIRT's volume, largest", 0.05, max(shifts), "px"),
        at_most(f"{_MLEM}, slowest seed", 5, max(seconds[_MLEM]), "s"),
        at_least(f"{_MLEM}, seed {seeds[0]}", 36, psnr[_MLEM][0], "dB"),
        at_most(f"{_FBP}, fastest seed", 0.12, min(seconds[_FBP]), "s"),
        at_least(f"{_FBP}, worst seed", 22.8, min(psnr[_FBP]), "dB"),
    ]  # fmt: skip


def _seeds() -> list[int]:
    """Seeds of the first part."""
    text = os.environ.get("ATOMSEG_BENCH_SEEDS", "0,1,2,3")
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise UserError(f"ATOMSEG_BENCH_SEEDS is {text!r}; give whole numbers, such as 0,1,2,3.")
    return [int(part) for part in text.split(",")]


def _peer_rows(
    seed: int, truth: Floats, views: Floats, ours: Floats, spent: Spent
) -> tuple[list[list[object]], list[Bar]]:
    """ASTRA's SIRT on a few slices, its time for all of them, and ours on the same slices."""
    middle = slice(_SIZE // 2, _SIZE // 2 + _PEER_SLICES)
    found = astra_sirt(views[:, middle], _TILTS, 30)
    if found is None:
        return [[seed, "ASTRA, CPU linear: not installed", "", "", "", "", ""]], []
    volume, taken = found
    times = _SIZE / _PEER_SLICES
    label, part, same = f"slices {middle.start} to {middle.stop - 1}", truth[:, middle], ours[:, middle]
    theirs, own = psnr_db(part, volume), psnr_db(part, same)
    peer = f"ASTRA SIRT, CPU linear, {label}, times {times:.0f}"
    rows: list[list[object]] = [
        [seed, peer, taken.wall * times, taken.cpu * times, theirs, nrmse(part, volume), offset_px(part, volume)],
        [seed, f"SIRT, {label} of the above", "", "", own, nrmse(part, same), offset_px(part, same)],
    ]
    # ASTRA works on one core; what it takes there is the same on a busy machine.
    faster = min(taken.wall, taken.cpu) * times / spent.seconds
    return rows, [
        at_least("faster than ASTRA's SIRT", 40, faster, "times"),
        at_least("PSNR of SIRT less ASTRA's on the same slices", -0.05, own - theirs, "dB"),
    ]


def _few_slices() -> list[Bar]:
    """Case B: few slices, many views."""
    truth, views = phantom(_FEW_SIZE, _FEW_SLICES, _FEW_TILTS, 0)
    reconstructed(views, _FEW_TILTS, algorithm="sirt", iterations=1)
    volume, spent = reconstructed(views, _FEW_TILTS, algorithm="sirt", iterations=30)
    title = f"{_FEW_SLICES} slices of {_FEW_SIZE} x {_FEW_SIZE} from {len(_FEW_TILTS)} views, 30 iterations of SIRT."
    print_table(title, ["seconds", "CPU s", "PSNR dB"], [[spent.wall, spent.cpu, psnr_db(truth, volume.values)]])
    return [at_most(f"{_FEW_SLICES} slices of {_FEW_SIZE}^2, {_SIRT}", 2.7, spent.seconds, "s")]


def offset_px(truth: Floats, found: Floats) -> float:
    """Length of the shift in voxels of one volume against another across the axis, from the slope of their phases.

    Least squares on the phase of the cross spectrum of all slices at low frequencies, weighted by its strength.
    """
    a, b = (np.fft.fft2(volume, axes=(0, 2)) for volume in (truth, found))
    cross = (a.conj() * b).sum(axis=1)
    z, x = (np.fft.fftfreq(size) for size in cross.shape)
    low = np.hypot(z[:, None], x[None]) < 0.1
    weight = np.sqrt(np.abs(cross[low]))
    slopes = np.stack(np.broadcast_arrays(z[:, None], x[None]), axis=-1)[low]
    phase = np.angle(cross[low]) / (-2 * np.pi)
    shift = np.linalg.lstsq(slopes * weight[:, None], phase * weight, rcond=None)[0]
    return float(np.hypot(*shift))
