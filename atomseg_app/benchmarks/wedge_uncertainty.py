"""``atomseg bench wedge-uncertainty``: how the spread of several answers goes with their true error, unseen families.

Correlations are within slices, of the error averaged over the size of details: by rank inside the object, by value
over the whole slice. The ratio of rms error to rms spread is what the uncertainty of each method is calibrated by.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from atomseg_app.benchmarks.verdicts import Bar, at_least, print_bars
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_UNSEEN
from atomseg_app.tomography.operations import FillWedge
from atomseg_app.tomography.wedge_methods import USUAL, Fill, method_of
from atomseg_app.tomography.wedge_uncertainty import CALIBRATION, Ensemble, deviation, smoothed

Doubles = npt.NDArray[np.float64]

RANK_WANTED = 0.3
_EACH, _SIZE, _SEED, _STEP_DEG = 6, 96, 778, 2.5
_BODY = 0.02  # of the greatest grey level: inside the object
_DETAIL_PX = 1.5
_CLEAN = {"counted": 0.0, "shift_px": (0.0, 0.0), "tilt_error_deg": (0.0, 0.0), "gain": (0.0, 0.0)}
_NOISY = {"counted": 1.0, "dose": (1e3, 1.001e3), "shift_px": (0.999, 1.0)}
_CONDITIONS = (("noise-free", 45, _CLEAN), ("noise-free", 60, _CLEAN), ("1e3 counts, 1 px", 45, _NOISY),
               ("1e3 counts, 1 px", 60, _NOISY))  # fmt: skip
_ENSEMBLES = {
    "mirrored and turned": ("mirrored", "turned"), "fewer views": ("fewer views",),
    "total variation": ("total variation",), "all but total variation": ("mirrored", "turned", "fewer views"),
    "all": ("mirrored", "turned", "fewer views", "total variation"),
}  # fmt: skip


def run() -> int:
    """Print the correlations and ratios of every ensemble. Returns 1 where a rank correlation of all falls short.

    Raises UserError where a model is not installed.
    """
    torch.set_num_threads(1)
    bars: list[Bar] = []
    for name in USUAL:
        method = method_of(FillWedge.model_validate({"method": name}), torch.device("cpu"))
        sys.stdout.write(f"\nSpread against true error, method {name} ({method.models}); {', '.join(HELD_OUT)}.\n")
        sys.stdout.write(f"{'':28}{'rank, inside':>14}{'by value':>10}   rms error / rms spread (10, 50, 90 %)\n")
        found = [_measured(name, method.fill, *condition) for condition in _CONDITIONS]
        ratio = float(np.median(np.concatenate([each[1] for each in found])))
        sys.stdout.write(f"Median ratio of all: {ratio:.2f}; the program's calibration is {CALIBRATION[name]:.2f}.\n")
        bars += [each[0] for each in found]
    return int(not print_bars("Uncertainty: rank correlation with the true error inside the object.", bars))


def _measured(name: str, fill: Fill, label: str, wedge_deg: float, changes: dict[str, object]) -> tuple[Bar, Doubles]:
    """Print how every ensemble does under a condition; the bar of all, and rms error over rms spread (slices,)."""
    sys.stdout.write(f"{label}, wedge {wedge_deg} degrees\n")
    answer, others, truth = _answers(fill, wedge_deg, changes)
    error = smoothed((answer - truth).square(), _DETAIL_PX).sqrt().numpy()
    body = smoothed(truth, 2.0).numpy() > _BODY
    rank, ratio = 0.0, np.zeros(0)
    for ensemble, members in _ENSEMBLES.items():  # the last one is all
        spread = deviation([answer, *(other for kind, other in others if kind in members)]).numpy()
        rank, value = _correlations(error, spread, body)
        ratio = np.sqrt((error**2).mean((1, 2)) / np.maximum((spread**2).mean((1, 2)), 1e-30))
        low, middle, high = np.percentile(ratio, (10, 50, 90))
        sys.stdout.write(f"  {ensemble:26}{rank:14.3f}{value:10.3f}   {low:.2f} {middle:.2f} {high:.2f}\n")
    return at_least(f"{name}, {label}, wedge {wedge_deg:g} degrees", RANK_WANTED, rank), ratio


@torch.no_grad()
def _answers(
    fill: Fill, wedge_deg: float, changes: dict[str, object]
) -> tuple[torch.Tensor, list[tuple[str, torch.Tensor]], torch.Tensor]:
    """The answer, the other answers, and the truth (slices, z, x) of unseen slices."""
    half = 90 - wedge_deg / 2
    tilts = torch.arange(-half, half + 0.01, _STEP_DEG, dtype=torch.float64)
    batches = [
        WedgeSimulator(
            replace(WEDGE_UNSEEN, size_px=_SIZE, families=(name,), **changes),  # type: ignore[arg-type]
            _SEED, torch.device("cpu"),
        ).batch(_EACH, tilts)
        for name in HELD_OUT
    ]  # fmt: skip
    views, truth = torch.cat([batch.views for batch in batches]), torch.cat([batch.truth for batch in batches])
    beam = ParallelBeam(tilts, _SIZE)
    return fill(views, beam), list(Ensemble(fill, beam, Report()).members(views)), truth


def _correlations(
    error: npt.NDArray[np.float32], spread: npt.NDArray[np.float32], body: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Mean over slices of the rank correlation inside the object, and of the correlation by value."""
    ranks: Sequence[float] = [
        float(stats.spearmanr(e[inside], s[inside]).statistic)
        for e, s, inside in zip(error, spread, body, strict=True)
        if inside.sum() > 2
    ]
    values = [float(np.corrcoef(e.ravel(), s.ravel())[0, 1]) for e, s in zip(error, spread, strict=True)]
    return float(np.mean(ranks)), float(np.mean(values))
