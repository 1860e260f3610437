"""Filtered back projection: each view filtered across the axis, weighted by the angle it stands for, and smeared back.

Kak and Slaney, Principles of Computerized Tomographic Imaging (1988), chapter 3, with their band-limited ramp. The
filter is applied as a sum, not by Fourier transforms: for all slices at once it costs less than the back projection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Problem
from atomseg_app.tomography.problems import BlockProblem

Filter = Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "sirt-like"]
Frequencies = npt.NDArray[np.float64]
_SIRT_ITERATIONS = 20  # that the SIRT-like filter resembles


def filter_response(name: Filter, bins: int) -> Floats:
    """What the filter makes of a single bin: response at distances 1 - bins to bins + 2 (2 bins + 2,)."""
    size = 2 * bins
    distance = np.minimum(np.arange(size), size - np.arange(size)).astype(np.float64)
    ramp = np.where(distance % 2 == 1, -1 / (np.pi * np.maximum(distance, 1)) ** 2, 0)
    ramp[0] = 0.25
    frequency: Frequencies = np.fft.rfftfreq(size).astype(np.float64)  # cycles a pixel, 0 to 1/2
    spectrum: Frequencies = np.fft.rfft(ramp).real.astype(np.float64)
    response = np.fft.irfft(spectrum * window(name, frequency), size)
    return np.asarray(response[np.arange(1 - bins, bins + 3) % size], np.float32)


def window(name: Filter, frequency: Frequencies) -> Frequencies:
    """What multiplies the ramp at frequencies in cycles a pixel."""
    factor = np.ones_like(frequency)
    if name == "shepp-logan":
        factor = np.sinc(frequency)
    elif name == "cosine":
        factor = np.cos(np.pi * frequency)
    elif name == "hann":
        factor = (1 + np.cos(2 * np.pi * frequency)) / 2
    elif name == "hamming":
        factor = 0.54 + 0.46 * np.cos(2 * np.pi * frequency)
    elif name == "sirt-like":
        # Each iteration of SIRT takes the share of a frequency that is missing times its point spread's 1 / |k|.
        share = np.clip(0.5 / np.maximum(frequency / frequency[1], 1), 0, 1)
        factor = 1 - (1 - share) ** _SIRT_ITERATIONS
    return np.asarray(factor, np.float64)


def angle_weights(tilt_deg: npt.ArrayLike) -> Frequencies:
    """Angle in rad that each view stands for: half the way to its neighbours on the half circle.

    A missing wedge belongs to no view: its gap counts as the median one. Views of one angle share what it stands for.
    """
    tilts = np.mod(np.asarray(tilt_deg, np.float64), 180)
    angles, place, count = np.unique(tilts.round(6), return_inverse=True, return_counts=True)
    if len(angles) == 1:
        return np.full(len(tilts), np.pi / len(tilts))
    gaps = np.diff(np.append(angles, angles[0] + 180))
    gaps = np.where(gaps > 3 * np.median(gaps), np.median(gaps), gaps)
    share = (gaps + np.roll(gaps, 1)) / 2 / count
    return np.asarray(np.deg2rad(share)[place], np.float64)


def fbp_volume(views: Floats, problem: BlockProblem, name: Filter, volume: Floats, report: Report) -> None:
    """Write the filtered back projection of views (view, y, x) to a volume (z, y, x), one block of slices in memory."""
    projector = problem.projector
    response = filter_response(name, problem.geometry.detector_yx[1])
    weights = angle_weights(problem.geometry.tilt_deg).astype(np.float32)
    measured, image = projector.sinogram(), projector.image()
    for start in projector.starts:
        report.progress(start / views.shape[1], "filtering and projecting back")
        projector.take_views(views, start, measured)
        projector.convolve(measured, response, weights, problem.views, problem.scratch)
        projector.back(problem.scratch, image, problem.views)
        problem.confine(image)
        projector.put_volume(image, volume, start)


def fbp(problem: Problem, measured: Floats, image: Floats, name: Filter = "hann") -> Iterator[Iterate]:
    """The one image of filtered back projection; asked again it gives the same.

    Raises UserError for views in any direction, for which it is no inverse.
    """
    if not isinstance(problem, BlockProblem):
        raise UserError(
            "Filtered back projection takes views tilted round one axis, neither turned in their plane nor moved along "
            "it; choose SIRT or MLEM, which take any."
        )
    projector, views = problem.projector, problem.views
    response = filter_response(name, problem.geometry.detector_yx[1])
    weights = angle_weights(np.asarray(problem.geometry.tilt_deg)[views]).astype(np.float32)
    projector.convolve(measured, response, weights, views, problem.scratch)
    projector.back(problem.scratch, image, views)
    problem.confine(image)
    while True:
        yield Iterate(image, np.zeros(problem.geometry.views, np.float32))
