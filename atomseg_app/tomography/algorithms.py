"""Which algorithm a name means, with what it needs of the settings, and which kind of problem it works on."""

from __future__ import annotations

from functools import partial
from typing import Literal

from atomseg_app.tomography.dart import dart
from atomseg_app.tomography.fbp import fbp
from atomseg_app.tomography.fourier import fourier
from atomseg_app.tomography.iterates import Algorithm
from atomseg_app.tomography.least_squares import cgls, descent
from atomseg_app.tomography.mlem import mlem
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.ordered_subsets import osem, sart
from atomseg_app.tomography.sirt import sirt
from atomseg_app.tomography.total_variation import chambolle_pock
from atomseg_app.tomography.variation_descent import asd_pocs, fista

Reach = Literal["slice", "neighbours"]
_RELAXATION = {"sart": 0.25, "os-sart": 0.5}
_SUBSET_VIEWS = 8  # views in a subset where nothing is said
_FIXED = {"tv": 120, "fista-tv": 120, "asd-pocs": 30, "dart": 20, "fourier": 30, "fbp": 1}
_UNJUDGED = 30  # iterations where too few views are there to leave some out


def algorithm_of(settings: Reconstruct, views: int, noise: float) -> Algorithm:
    """Algorithm of the settings for so many views of this rms noise."""
    name, count = settings.algorithm, settings.subsets or max(1, round(views / _SUBSET_VIEWS))
    known: dict[str, Algorithm] = {
        "mlem": mlem,
        "osem": partial(osem, count=count),
        "sirt": sirt,
        "os-sart": partial(sart, count=count),
        "sart": partial(sart, count=views),
        "tv": partial(chambolle_pock, noise=noise, weight=settings.tv_weight),
        "asd-pocs": partial(asd_pocs, count=count),
        "fista-tv": partial(fista, noise=noise, weight=settings.tv_weight),
        "cgls": cgls,
        "tikhonov": partial(cgls, damping=settings.damping),
        "gradient": descent,
        "dart": partial(dart, count=settings.grey_levels),
        "fourier": fourier,
        "fbp": partial(fbp, name=settings.filter),
    }
    return known[name]


def reach(name: str) -> Reach:
    """Whether an algorithm treats every slice for itself or looks at neighbouring ones."""
    return "neighbours" if name in ("tv", "asd-pocs", "fista-tv", "dart") else "slice"


def needs_noise(settings: Reconstruct) -> bool:
    """Whether the noise of the views matters to the algorithm or to when it ends."""
    return settings.algorithm in ("tv", "fista-tv") or settings.stop == "discrepancy"


def relaxation_of(settings: Reconstruct) -> float:
    """Relaxation of the settings, or what suits the algorithm."""
    return settings.relaxation or _RELAXATION.get(settings.algorithm, 1.0)


def fixed_count(name: str) -> int | None:
    """Iterations of an algorithm that is not judged by views left out, as it converges or has its own measure."""
    return _FIXED.get(name)


def usual_count() -> int:
    """Iterations where nothing can be judged."""
    return _UNJUDGED
