"""Volumes of single atoms: the answer that is a sum of spots, each as wide as an atom and none negative.

Where atoms are seen one by one, nothing is finer than an atom's spot and nothing is darker than the space between. Both
are known in the wedge, too, and hold down noise. What is sought are strengths c >= 0 of spots at all voxels, blurred to
the volume G c, with the least |F^(1/2) (A G c - views)|^2, F being the filter of back projection, by which a step is
about as long at all frequencies. (Accelerated projected gradients: Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009)
183; restarts: O'Donoghue and Candes, Found. Comput. Math. 15 (2015) 715.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional

from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import filtered
from atomseg_app.tomography.spot_width import spot_width

SHARE = 0.86
"""Of the measured width, by trial: less noise with wider spots, until they are too wide for what the views show."""
NARROW_PX = 1.15
"""Spots as narrow as this are placed by the filled volume as well as by spots."""
_STEPS = 160
"""Found by trial: atoms are placed no better after more."""
_POWER = 20  # iterations that find the largest step
_REACH = 4.0  # standard deviations of a spot that are computed
_BLOCK = 16  # slices that are projected at a time


def with_measured_width(
    views: torch.Tensor, beam: ParallelBeam, start: torch.Tensor, report: Report | None = None
) -> torch.Tensor | None:
    """Slices as :func:`as_spots` makes them, the width measured from the views; None, and a note, where none suits.

    Raises Cancelled.
    """
    report = report or Report()
    report.progress(0, "measuring how wide atoms' spots are")
    found = spot_width(views, beam, start)
    if not found.atomic:
        report.note(
            f"Single atoms are not seen in the views, so that no spots were made: {found.words}; the volume is as "
            "filled. A width given by hand (spot_px) makes spots all the same."
        )
        return None
    if found.sigma_px < NARROW_PX:
        report.note(
            f"Atoms' spots have a standard deviation of {found.sigma_px:.2f} px: so narrow that the volume as filled "
            "places them as well as one made of spots; it was kept."
        )
        return None
    width = SHARE * found.sigma_px
    answer = as_spots(views, beam, start, width, report)
    report.note(
        f"The volume is made of spots with a standard deviation of {width:.2f} px, {SHARE:.0%} of the "
        f"{found.sigma_px:.2f} px that was measured from the views of {found.spots} atoms."
    )
    return answer


def as_spots(
    views: torch.Tensor, beam: ParallelBeam, start: torch.Tensor, spot_px: float, report: Report | None = None
) -> torch.Tensor:
    """Slices (slices, z, x) near ``start`` that are spots of standard deviation ``spot_px`` and explain the views.

    Views are (slices, view, t). Slices are neighbours: spots reach across them. Raises Cancelled.
    """
    report = report or Report()
    step = 1 / largest(beam, spot_px)
    strengths = start.clamp(min=0)
    ahead, momentum = strengths, 1.0
    for number in range(_STEPS):
        report.progress(number / _STEPS, f"spots of atoms, step {number + 1} of {_STEPS}")
        left = by_blocks(beam.project, blurred(ahead, spot_px)) - views
        pull = by_blocks(lambda part: beam.smear(filtered(beam, part)), left)
        new = (ahead - step * blurred(pull, spot_px)).clamp(min=0)
        if float(((ahead - new) * (new - strengths)).sum()) > 0:
            momentum = 1.0
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = new + (momentum - 1) / following * (new - strengths)
        strengths, momentum = new, following
    return blurred(strengths, spot_px)


def blurred(volume: torch.Tensor, spot_px: float) -> torch.Tensor:
    """A volume (slices, z, x) convolved with a Gaussian whose sum is 1, each way; nothing lies beyond it."""
    line = _line(volume.device, spot_px)
    across = _within(volume, spot_px).movedim(0, -1).reshape(-1, 1, len(volume))
    result = functional.conv1d(across, line.reshape(1, 1, -1), padding=len(line) // 2)
    return result.reshape(*volume.shape[1:], -1).movedim(-1, 0).contiguous()


def largest(beam: ParallelBeam, spot_px: float) -> float:
    """Largest eigenvalue of the least squares' curvature, and 2 % more, by powers of it on one slice.

    Blurring across slices makes none larger.
    """
    vector = torch.rand((1, *beam.domain_shape), generator=torch.Generator().manual_seed(1)).to(beam.device)
    size = 1.0
    for _ in range(_POWER):
        vector = vector / vector.norm()
        vector = _within(beam.smear(filtered(beam, beam.project(_within(vector, spot_px)))), spot_px)
        size = float(vector.norm())
    return 1.02 * size


def _within(slices: torch.Tensor, spot_px: float) -> torch.Tensor:
    line = _line(slices.device, spot_px)
    half = len(line) // 2
    down = functional.conv2d(slices[:, None], line.reshape(1, 1, -1, 1), padding=(half, 0))
    return functional.conv2d(down, line.reshape(1, 1, 1, -1), padding=(0, half))[:, 0]


def _line(device: torch.device, spot_px: float) -> torch.Tensor:
    reach = math.ceil(_REACH * spot_px)
    line = torch.exp(-(torch.arange(-reach, reach + 1, device=device).float() ** 2) / (2 * spot_px**2))
    return line / line.sum()


def by_blocks(function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    """A function of slices, some slices at a time."""
    return torch.cat([function(values[first : first + _BLOCK]) for first in range(0, len(values), _BLOCK)])
