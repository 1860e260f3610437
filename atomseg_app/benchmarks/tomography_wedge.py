"""A missing wedge of 45 degrees: total variation with nothing set, and the recipe that networks are compared with."""

from __future__ import annotations

import numpy as np

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_least
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.rays.kernels import PAD
from atomseg_app.simulate.ellipsoids import Floats, phantom
from atomseg_app.tomography.algorithms import algorithm_of
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.noise import noise_rms
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.ordered_subsets import sart
from atomseg_app.tomography.problem import Limits
from atomseg_app.tomography.problems import BlockProblem, StackProblem
from atomseg_app.tomography.quality import psnr_db, ssim

_SIZE, _TILTS = 256, tuple(np.arange(-67.0, 67.1, 2.0))
_SEEDS = (0, 1, 2, 3)
_SWEEPS, _RELAXATION, _TV_WEIGHTS = 10, 0.3, (0.1, 10.0)
_TITLE = f"""A wedge of 45 degrees missing: one slice of {_SIZE} x {_SIZE}, {len(_TILTS)} views 2 degrees apart,
scaled to 0..1. Recipe: {_SWEEPS} times a sweep of SART at {_RELAXATION} and Bregman's total variation (scikit-image),
with its weight read both ways (0.1, and 1 / 0.1). SART alone: {_SWEEPS} sweeps at 0.25.
PSNR in dB / SSIM, means of {len(_SEEDS)} samples."""


def wedge() -> list[Bar]:
    """Print the table; gives the bars."""
    names = ["SART", *(f"recipe, weight {weight:g}" for weight in _TV_WEIGHTS), "tv", "fista-tv", "asd-pocs"]
    rows: list[list[object]] = []
    bars = []
    for noise in (0.0, 0.01):
        scores: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for seed in _SEEDS:
            volume, views = phantom(_SIZE, 1, _TILTS, seed, noise)
            top = float(volume.max())
            truth, measured = volume[:, 0] / top, views / top
            for name in names:
                found = _found(name, measured)
                scores[name].append((psnr_db(truth, found, 1.0), ssim(truth, found, 1.0)))
        means = {name: np.mean(scores[name], axis=0) for name in names}
        rows += [[f"{noise:.0%}", name, f"{psnr:.2f} / {similar:.3f}"] for name, (psnr, similar) in means.items()]
        psnr, similar = np.max([means[name] for name in names if name.startswith("recipe")], axis=0)
        bars += [
            at_least(
                f"PSNR of tv at a wedge of 45 degrees, {noise:.0%} noise, against the recipe", psnr, means["tv"][0]
            ),
            at_least(f"SSIM of tv, {noise:.0%} noise, against the recipe", similar, means["tv"][1]),
        ]
    print_table(_TITLE, ["noise", "method", "PSNR / SSIM"], rows)
    return bars


def _found(name: str, views: Floats) -> Floats:
    """Slice (z, x) that a method makes of the views."""
    projector = BlockProjector(Geometry(_TILTS, (1, _SIZE), (_SIZE, 1, _SIZE)))
    every, measured = projector.every_view, projector.take_views(views, 0)
    inside = slice(PAD, -PAD)
    if name.startswith(("SART", "recipe")):
        problem = BlockProblem(projector, every, Limits(), 0.25 if name == "SART" else _RELAXATION)
        image = projector.image()
        sweeps = sart(problem, measured, image, len(every))
        for _ in range(_SWEEPS):
            next(sweeps)
            if name != "SART":
                image[inside, inside, 0] = _bregman(image[inside, inside, 0], float(name.rpartition(" ")[2]))
        return image[inside, inside, 0].copy()
    settings = Reconstruct.model_validate({"algorithm": name})
    stack = StackProblem(BlockProblem(projector, every))
    images = stack.new_image()
    steps = algorithm_of(settings, len(every), noise_rms(views))(stack, measured[None], images)
    for _ in range({"tv": 120, "fista-tv": 120}.get(name, 30)):
        next(steps)
    return images[0, inside, inside, 0].copy()


def _bregman(image: Floats, weight: float) -> Floats:
    """Total variation denoising of scikit-image, which is there for tests and benchmarks."""
    from skimage.restoration import denoise_tv_bregman

    return np.asarray(denoise_tv_bregman(image.astype(np.float64), weight=weight), np.float32)
