"""How far views are from those that wedge networks were trained on: a distance over features that any views have.

The features say what simulation varies and what measuring adds: noise, what enters at the sides, views that contradict
each other... The distance is Mahalanobis' (Proc. Natl. Inst. Sci. India 2 (1936) 49) from the training families; the
threshold and its rate of false alarms are those of families that no network has seen (``atomseg bench wedge-range``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from atomseg_app import places
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import noise_of, sirt

Doubles = npt.NDArray[np.float64]

FEATURES: Mapping[str, str] = {
    "noise": "their noise",
    "sides": "what they show at their sides, where a sample that is whole in view leaves them dark",
    "negative": "grey levels below 0",
    "total": "how their total changes from view to view, which is that of a whole sample at every angle",
    "misfit": "how far they contradict each other",
    "detail": "how fine their detail is",
    "width": "how much of their width is filled",
    "peak": "how far their brightest pixels stand out",
}
"""What each feature is called, as in: the views differ most in ..."""
RANGE_FILE = "wedge_training_range.json"
_SIDE = 3  # bins at either side
_SIZE = 64  # bins that views are brought to
_SLICES = 9  # that are looked at
_LIT = 0.05  # of the brightest slice: others hold nothing to judge
_ITERATIONS = 20
_UNLIKELY = 0.02  # of the grey level: what twenty iterations leave without any noise
_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class TrainingRange:
    """Mean (features,) and inverse covariance of the training families, the threshold, and how often it is passed.

    ``false_alarms`` is the share of unseen families' slices beyond ``threshold``.
    """

    mean: Doubles
    inverse: Doubles
    threshold: float
    false_alarms: float

    def distance(self, features: Doubles) -> Doubles:
        """Distance (slices,) of features (slices, features)."""
        offset = features - self.mean
        return np.asarray(np.sqrt(np.einsum("si,ij,sj->s", offset, self.inverse, offset)))

    def worst(self, features: Doubles) -> str:
        """Which feature (slices, features) lies farthest from the mean, for its own spread."""
        spread = np.sqrt(np.diag(np.linalg.inv(self.inverse)))
        return list(FEATURES)[int(np.argmax(np.abs(np.median((features - self.mean) / spread, axis=0))))]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {
            "features": list(FEATURES), "mean": self.mean.round(6).tolist(), "inverse": self.inverse.round(6).tolist(),
            "threshold": round(self.threshold, 4), "false_alarms": round(self.false_alarms, 4),
        }  # fmt: skip


@cache
def training_range() -> TrainingRange:
    """What comes with the program."""
    found = json.loads((places.resources_folder() / RANGE_FILE).read_text("utf-8"))
    return TrainingRange(
        np.array(found["mean"]), np.array(found["inverse"]), float(found["threshold"]), float(found["false_alarms"])
    )


def features_of(views: torch.Tensor, beam: ParallelBeam) -> Doubles:
    """Features (slices, features) of views (slices, view, t) in ascending order of angle; all but empty slices."""
    noise = noise_of(views.float())
    coarse, rays = _coarse(views.float(), beam)
    lit = coarse > 0.1 * coarse.amax((1, 2), keepdim=True)
    mean = (coarse * lit).sum((1, 2)) / lit.sum((1, 2)).clamp(min=1)
    total = coarse.abs().sum((1, 2)).clamp(min=1e-30)
    sides = torch.stack([coarse[..., :_SIDE], coarse[..., -_SIDE:]]).mean((2, 3)).abs().amax(0)
    noisy = 3 * noise_of(coarse)[:, None, None]  # where nothing is, noise alone is below 0
    sums = coarse.sum(-1)
    left = (coarse - rays.project(sirt(rays, coarse, _ITERATIONS))).square().mean((1, 2)).sqrt()
    detail = torch.diff(coarse, dim=-1).square().sum((1, 2)) / coarse.square().sum((1, 2)).clamp(min=1e-30)
    found = {
        "noise": noise / mean.clamp(min=1e-30),
        "sides": sides / mean.clamp(min=1e-30),
        "negative": (-coarse - noisy).clamp(min=0).sum((1, 2)) / total,
        "total": sums.std(-1) / sums.mean(-1).abs().clamp(min=1e-30),
        "misfit": left / torch.hypot(noise_of(coarse), _UNLIKELY * mean).clamp(min=1e-30),
        "detail": detail,
        "width": lit.float().mean((1, 2)),
        "peak": coarse.amax((1, 2)) / mean.clamp(min=1e-30),
    }
    table = torch.stack([(found[name] + _FLOOR).log() for name in FEATURES], 1)
    return np.asarray(table.double().cpu().numpy(), np.float64)


def judged(views: torch.Tensor) -> torch.Tensor:
    """Some slices (slices, view, t) that speak for all: evenly spread over those that hold anything."""
    signal = views.abs().mean((1, 2))
    held = (signal > _LIT * signal.max()).nonzero()[:, 0]
    if not len(held):
        return views[:0]
    chosen = torch.linspace(0, len(held) - 1, min(_SLICES, len(held))).round().long()
    return views[held[chosen]]


def distance_of(views: torch.Tensor, beam: ParallelBeam) -> tuple[float, str]:
    """Median distance of slices' views from the training families, and the feature that differs most."""
    chosen = judged(views)
    if not len(chosen):
        return math.inf, "peak"
    known, features = training_range(), features_of(chosen.to(beam.device), beam)
    return float(np.median(known.distance(features))), known.worst(features)


def range_notes(distance: float, worst: str) -> list[str]:
    """A warning where views are farther from the training families than the threshold; nothing otherwise."""
    known = training_range()
    if distance <= known.threshold:
        return []
    return [
        f"The views are unlike those that the networks were trained on (distance {distance:.1f}, usually below "
        f"{known.threshold:.1f}), most in {FEATURES[worst]}; compare what is filled in with the plain reconstruction."
    ]


def _coarse(views: torch.Tensor, beam: ParallelBeam) -> tuple[torch.Tensor, ParallelBeam]:
    """Views in at most so many bins, and their beam."""
    bins = views.shape[-1]
    if bins <= _SIZE * 5 // 4:
        return views, ParallelBeam(beam.tilt_deg, bins, beam.device, beam.shift_px)
    factor = bins / _SIZE
    coarse = functional.adaptive_avg_pool1d(views, _SIZE)
    return coarse, ParallelBeam(beam.tilt_deg, _SIZE, beam.device, beam.shift_px / factor)
