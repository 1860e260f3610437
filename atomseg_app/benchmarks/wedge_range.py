"""``atomseg bench wedge-range``: where views count as unlike the training families, and how often that is wrong.

Writes the range that comes with the program (wedge_training_range.json) to the working folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.io.atomic_write import write_text
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeBatch, WedgeSimulator
from atomseg_app.simulate.wedge_preset import FAMILIES, HELD_OUT, WEDGE_TRAINING
from atomseg_app.tomography.training_range import FEATURES, RANGE_FILE, TrainingRange, features_of

Doubles = npt.NDArray[np.float64]

_BATCHES, _BATCH, _SIZE = 6, 8, 64  # of each family, and the side of their slices
_QUANTILE = 0.98
"""Share of the training families' slices that counts as usual."""
_SHRINK = 0.05  # of the covariance towards its diagonal
_LEAST = 0.15
"""Standard deviation (of logarithms) that no feature is below: simulated views have no negative value at all."""
_SEED = 51_000


def run() -> int:
    """Print the threshold, false alarms by unseen family, and what odd views are recognised; write the range."""
    torch.set_num_threads(1)
    trained = np.concatenate([_features((name,), _SEED) for name in FAMILIES])
    covariance = np.cov(trained.T)
    covariance = (1 - _SHRINK) * covariance + np.diag(_SHRINK * np.diag(covariance) + _LEAST**2)
    inverse = np.asarray(np.linalg.inv(covariance), np.float64)
    found = TrainingRange(np.asarray(trained.mean(axis=0), np.float64), inverse, 0.0, 0.0)
    threshold = float(np.quantile(found.distance(trained), _QUANTILE))
    unseen = {name: _features((name,), _SEED + 1) for name in HELD_OUT}
    alarms = {name: float((found.distance(table) > threshold).mean()) for name, table in unseen.items()}
    rate = float(np.mean(list(alarms.values())))
    found = TrainingRange(found.mean, inverse, threshold, rate)
    out = sys.stdout.write
    out(f"Distance over {len(FEATURES)} features; {len(trained)} slices of {len(FAMILIES)} training families.\n")
    out(f"Threshold {threshold:.2f} ({_QUANTILE:.1%} of them are nearer).\n\n")
    out("Unseen families: false alarms\n")
    for name, share in alarms.items():
        out(f"  {name:12} {share:6.1%}  of {len(unseen[name])} slices\n")
    out(f"  {'mean':12} {rate:6.1%}\n\nOdd views: recognised, and by what\n")
    for name, spoil in ODD.items():
        table = _features(HELD_OUT, _SEED + 2, spoil)
        share = float((found.distance(table) > threshold).mean())
        out(f"  {name:42} {share:6.1%}  {found.worst(table)}\n")
    write_text(RANGE_FILE, json.dumps(found.to_json(), indent=2) + "\n")
    return 0


def _features(
    families: tuple[str, ...],
    seed: int,
    spoil: Callable[[WedgeBatch, ParallelBeam], torch.Tensor] | None = None,
) -> Doubles:
    """Features of simulated slices, all lists of angles that training has."""
    preset = replace(WEDGE_TRAINING, size_px=_SIZE, families=families)
    simulator = WedgeSimulator(preset, seed, torch.device("cpu"))
    found = []
    for _ in range(_BATCHES):
        batch = simulator.batch(_BATCH)
        beam = ParallelBeam(batch.tilt_deg, preset.size_px)
        found.append(features_of(batch.views if spoil is None else spoil(batch, beam), beam))
    return np.concatenate(found)


def _background(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    return batch.views + 0.2 * batch.views.amax((1, 2), keepdim=True)


def _bright_field(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    return batch.views.amax((1, 2), keepdim=True) - batch.views


def _cut_off(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """Only the middle of the sample is in view."""
    size = beam.size
    middle = batch.views[..., size // 4 : size - size // 4]
    return torch.nn.functional.interpolate(middle, size=size, mode="linear")


def _misaligned(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """Views moved by 6 px rms."""
    shifts = (6 * torch.randn(batch.views.shape[1], generator=torch.Generator().manual_seed(5))).round().int().tolist()
    return torch.stack([batch.views[:, view].roll(shift, -1) for view, shift in enumerate(shifts)], 1)


def _wrong_angles(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """Views in another order than their angles."""
    order = torch.randperm(batch.views.shape[1], generator=torch.Generator().manual_seed(5))
    return batch.views[:, order]


def _few_counts(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """One count a bin."""
    scale = batch.views.clamp(min=0).mean((1, 2), keepdim=True).clamp(min=1e-6)
    return torch.poisson(batch.views.clamp(min=0) / scale, generator=torch.Generator().manual_seed(5)) * scale


def _beam_drift(batch: WedgeBatch, beam: ParallelBeam) -> torch.Tensor:
    """Intensity that falls to a third over the series."""
    return batch.views * torch.linspace(1, 1 / 3, batch.views.shape[1])[:, None]


ODD = {
    "background of 20 % of the brightest pixel": _background,
    "bright field, not inverted": _bright_field,
    "sample reaches beyond the views": _cut_off,
    "misaligned by 6 px rms": _misaligned,
    "angles in another order": _wrong_angles,
    "one count a pixel": _few_counts,
    "intensity falls to a third": _beam_drift,
}
"""Views that no network was trained on, made from those of unseen families."""
