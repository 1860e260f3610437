"""``atomseg bench wedge-uncertainty``: how the spread of several answers goes with their true error, unseen families.

Correlations are within slices, of the error averaged over the size of details: by rank inside the object, by value
over the whole slice. The ratio of rms error to rms spread is what the uncertainty is calibrated by.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from atomseg_app.networks.store import load_model
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_UNSEEN
from atomseg_app.tomography.wedge_methods import USUAL
from atomseg_app.tomography.wedge_uncertainty import CALIBRATION, Ensemble, deviation, smoothed

Doubles = npt.NDArray[np.float64]

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
    """Print the correlations and ratios of every ensemble. Raises UserError where the model is not installed."""
    torch.set_num_threads(1)
    module, card = load_model(USUAL["best"][0])
    out = sys.stdout.write
    out(f"Spread against true error; model {card.name}, {card.training.steps} steps; families {', '.join(HELD_OUT)}.\n")
    out(f"{'':28}{'rank, inside':>14}{'by value':>10}   rms error / rms spread (10, 50, 90 %)\n")
    ratios: list[Doubles] = []
    for label, wedge, changes in _CONDITIONS:
        out(f"{label}, wedge {wedge} degrees\n")
        answer, others, truth = _answers(module, wedge, changes)
        error = smoothed((answer - truth).square(), _DETAIL_PX).sqrt().numpy()
        body = smoothed(truth, 2.0).numpy() > _BODY
        for name, members in _ENSEMBLES.items():
            spread = deviation([answer, *(other for kind, other in others if kind in members)]).numpy()
            rank, value = _correlations(error, spread, body)
            ratio = np.sqrt((error**2).mean((1, 2)) / np.maximum((spread**2).mean((1, 2)), 1e-30))
            low, middle, high = np.percentile(ratio, (10, 50, 90))
            out(f"  {name:26}{rank:14.3f}{value:10.3f}   {low:.2f} {middle:.2f} {high:.2f}\n")
            if name == "all":
                ratios.append(ratio)
    found = float(np.median(np.concatenate(ratios)))
    out(f"Median ratio of all: {found:.2f}; the program's calibration is {CALIBRATION:.2f}.\n")
    return 0


@torch.no_grad()
def _answers(
    module: torch.nn.Module, wedge_deg: float, changes: dict[str, object]
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
    return module(views, beam), list(Ensemble(module, beam, Report()).members(views)), truth


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
