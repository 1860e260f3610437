"""Figures of tomography: speed and accuracy of reconstruction, growth of its cost, memory, and a missing wedge.

``atomseg bench tomography`` prints them all. The sample is random ellipsoids with tilt series in closed form and 1 %
noise (:mod:`~atomseg_app.simulate.ellipsoids`). Times are of the operation in a warm process, kernels compiled, views
in memory; memory is of a fresh process. Peers are the ASTRA toolbox, from this environment or from the
one whose Python the variable ``ATOMSEG_PEER_PYTHON`` names, and for a missing wedge the SART-TV recipe that
TomoFillNet's authors compare with, on this program's SART and scikit-image's TV.
"""

from __future__ import annotations

import time

import numpy as np

from atomseg_app import operations
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.tomography_gpu import gpu
from atomseg_app.benchmarks.tomography_growth import growth
from atomseg_app.benchmarks.tomography_memory import memory
from atomseg_app.benchmarks.tomography_peer import astra_sirt
from atomseg_app.benchmarks.tomography_wedge import wedge
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import Floats, phantom
from atomseg_app.tomography.quality import psnr_db

_SIZE, _TILTS = 256, tuple(np.arange(-75, 74, 2.0))
_FEW_SIZE, _FEW_SLICES, _FEW_TILTS = 512, 16, tuple(np.arange(-70, 70, 1.0))
_SEEDS = (0, 1, 2, 3)
_PEER_SLICES = 4
_TITLE = f"""Reconstruction of {_SIZE} slices of {_SIZE} x {_SIZE} from {len(_TILTS)} views with 1 % noise, seconds.
PSNR against the true volume; shift of the volume against the truth in voxels."""


def run() -> int:
    """Print the tables. Returns 0."""
    _speed()
    _few_slices()
    growth()
    memory()
    wedge()
    gpu()
    return 0


def reconstructed(views: Floats, tilt_deg: tuple[float, ...], **settings: object) -> tuple[Volume, float]:
    """Volume of views (view, y, x) and the seconds that the operation took."""
    operation = operations.get("reconstruct")
    series = TiltSeries(views, (None, None), tilt_deg=tilt_deg)
    began = time.perf_counter()
    volume = operations.run(operation, (series,), operation.parse(settings), Report())
    seconds = time.perf_counter() - began
    assert isinstance(volume, Volume)
    return volume, seconds


def _speed() -> None:
    """Case A: SIRT, MLEM and FBP on four seeds, ASTRA's SIRT on some of the slices of the first."""
    rows: list[list[object]] = []
    warm = phantom(64, 32, _TILTS, 0)[1]
    for algorithm in ("sirt", "mlem", "fbp"):
        reconstructed(warm, _TILTS, algorithm=algorithm, iterations=1)
    for seed in _SEEDS:
        truth, views = phantom(_SIZE, _SIZE, _TILTS, seed)
        for name, settings in (
            ("SIRT, 30 iterations", {"algorithm": "sirt", "iterations": 30}),
            ("MLEM, 30 iterations", {"algorithm": "mlem", "iterations": 30}),
            ("MLEM, iterations found", {"algorithm": "mlem"}),
            ("FBP, Hann", {"algorithm": "fbp", "positivity": False}),
            ("FBP, ramp", {"algorithm": "fbp", "filter": "ramp", "positivity": False}),
        ):
            volume, seconds = reconstructed(views, _TILTS, **settings)
            rows.append([seed, name, seconds, psnr_db(truth, volume.values), offset_px(truth, volume.values)])
            if seed == _SEEDS[0] and name.startswith("SIRT"):
                rows += _peer_rows(truth, views, volume.values, seconds)
    print_table(_TITLE, ["seed", "method", "seconds", "PSNR dB", "shift px"], rows)


def _peer_rows(truth: Floats, views: Floats, ours: Floats, seconds: float) -> list[list[object]]:
    """ASTRA's SIRT on a few slices, its time for all of them, and ours on the same slices."""
    middle = slice(_SIZE // 2, _SIZE // 2 + _PEER_SLICES)
    found = astra_sirt(views[:, middle], _TILTS, 30)
    if found is None:
        return [[0, "ASTRA, CPU linear: not installed", "", "", ""]]
    volume, taken = found
    whole = taken * _SIZE / _PEER_SLICES
    label, part, same = f"slices {middle.start} to {middle.stop - 1}", truth[:, middle], ours[:, middle]
    peer = f"ASTRA SIRT, CPU linear, {label}, times {_SIZE // _PEER_SLICES}"
    faster = f"{whole / seconds:.0f} x faster"
    return [
        [0, peer, whole, psnr_db(part, volume), offset_px(part, volume)],
        [0, f"SIRT, {label} of the above", faster, psnr_db(part, same), offset_px(part, same)],
    ]


def _few_slices() -> None:
    """Case B: few slices, many views."""
    truth, views = phantom(_FEW_SIZE, _FEW_SLICES, _FEW_TILTS, 0)
    reconstructed(views, _FEW_TILTS, algorithm="sirt", iterations=1)
    volume, seconds = reconstructed(views, _FEW_TILTS, algorithm="sirt", iterations=30)
    title = f"{_FEW_SLICES} slices of {_FEW_SIZE} x {_FEW_SIZE} from {len(_FEW_TILTS)} views, 30 iterations of SIRT."
    print_table(title, ["seconds", "PSNR dB"], [[seconds, psnr_db(truth, volume.values)]])


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
