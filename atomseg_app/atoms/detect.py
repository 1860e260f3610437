"""Detection: rough columns of any image, with no separation, size or threshold to set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import spatial

from atomseg_app.atoms.background import Prepared, binned, burnt_in, prepare
from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.level import Blobs, Level, no_blobs
from atomseg_app.atoms.log_peaks import Filters
from atomseg_app.atoms.outline import among_columns
from atomseg_app.atoms.scale import radial_spectrum, spectral_scale
from atomseg_app.atoms.significance import noise_probability
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

_FINEST_PX = 1.5
"""Filter scale, in pixels, that still samples a column well; coarser images are binned down to it."""

_NARROWEST_PX = 0.5
"""Width below which what was found is single pixels, not columns."""

_LABEL_EXTENT = 6
"""Length, in filter scales, from which a bright area is no column."""

_TURNS = 6
"""Most steps in which the scale follows the columns."""

_PASSES = 4
"""Searches of an image, each of what the blobs found so far leave of it."""

Method = Literal["log", "hough"]


def detect(
    values: npt.NDArray[Any],
    *,
    method: Method,
    polarity: Literal["auto", "bright", "dark"],
    false_alarms: float,
    report: Report,
) -> Candidates:
    """Columns of an image ``values`` (y, x) of any real type, as :class:`Candidates` in its pixels.

    ``false_alarms`` is the expected number of columns that pure noise of the image's size would give.
    Raises UserError for arrays that are no image. NaN and infinite pixels are left out with a note.
    """
    image = prepare(values, report)
    if image is None or min(image.values.shape) < 5:
        return _none(dark=polarity == "dark")
    report.progress(0.1, "Estimating the scale")
    spectrum = radial_spectrum(image.values)
    if len(spectrum.k) < 4:
        return _none(dark=polarity == "dark")
    start_px = spectral_scale(spectrum, min(image.values.shape) / 6)
    labels = burnt_in(image.values, _LABEL_EXTENT * start_px)
    if labels is not None:
        report.note(f"{int(labels.sum()):,} pixels of burnt-in labels or scale bars are left out of the search.")
        image = image.without(labels)
    dark = polarity == "dark" or (polarity == "auto" and _looks_dark(image, start_px))
    blobs, factor = _search(image, method, -1 if dark else 1, start_px, false_alarms, report)
    return _finished(blobs, factor, -1 if dark else 1, image, report)


def _none(*, dark: bool) -> Candidates:
    empty = np.empty(0)
    return Candidates(empty, empty, empty, empty, empty, empty, float("nan"), dark)


def _looks_dark(image: Prepared, scale_px: float) -> bool:
    """Whether blobs are dark: they are what the LoG response has sharp peaks for, on their side of zero."""
    factor = max(1, int(scale_px / 2))
    fine = 0.7 * scale_px / factor  # finer than the columns, so that the gaps of a honeycomb do not pass for blobs
    response = Filters(binned(image.values, factor), 6 * fine).log(fine)
    square = response * response
    skewness = float((square * response).mean() / max(float(square.mean()), 1e-30) ** 1.5)
    return skewness < -0.15


def _search(
    image: Prepared, method: Method, sign: int, start_px: float, false_alarms: float, report: Report
) -> tuple[Blobs, int]:
    """Blobs at the scale on which the search settles, and the binning it worked at."""
    level, factor = _level(image, sign, start_px)
    if not level.holds_more_than_noise():
        return level.strict(start_px / factor, false_alarms), factor
    scale_px = sigma_px = start_px
    blobs = level.grow(sigma_px / factor, 1)
    for turn in range(_TURNS):
        report.progress(0.2 + 0.08 * turn, "Searching")
        sigma_px = blobs.minor_px * factor
        finest = max(_finest_scale(blobs, scale_px, sigma_px), 0.3 * start_px)
        if len(blobs) < 3 or abs(np.log(finest / scale_px)) < 0.1:
            break
        scale_px = finest
        level, factor = _level(image, sign, scale_px)
        blobs = level.grow(sigma_px / factor, 1)
    relaxed = _finest_scale(replace(blobs, clarity=0.0), scale_px, sigma_px)
    if len(blobs) >= 3 and relaxed > 1.1 * scale_px:
        coarser, its_factor = _level(image, sign, relaxed)
        same = coarser.grow(sigma_px / its_factor, 1)
        if same.clear >= 0.97 * blobs.clear:  # pairs once resolved stay so: then less noise is better
            level, factor, blobs = coarser, its_factor, same
    report.progress(0.7, "Looking for weak columns")
    found = level.voted(blobs.sigma_px) if method == "hough" else level.grow(blobs.sigma_px, _PASSES)
    found = level.settle(found, false_alarms)
    return (found if found.sigma_px * factor > _NARROWEST_PX else no_blobs(found.sigma_px)), factor


def _level(image: Prepared, sign: int, scale_px: float) -> tuple[Level, int]:
    """The image as searched at a scale, and the factor it is binned by."""
    factor = max(1, int(scale_px / _FINEST_PX))
    valid = None if image.valid is None else binned(image.valid.astype(np.float32), factor) > 0.5
    counts = None if image.counts is None or sign < 0 else binned(image.counts, factor) * np.float32(factor**2)
    return Level(np.float32(sign) * binned(image.values, factor), valid, scale_px / factor, counts), factor


def _finest_scale(blobs: Blobs, scale_px: float, sigma_px: float) -> float:
    """Scale between 0.6 and 1.2 column widths: as fine as leaves a typical column well above the noise.

    Pairs half resolved fit no model, and what they leave is not noise: drawn-out blobs are looked at ever more finely
    as long as the noise of pixels (``clarity``, where it is known) allows.
    """

    def signal(t: float) -> float:
        return float(t**3 * sigma_px**2 / (sigma_px**2 + t**2) ** 2)

    if not len(blobs):
        return scale_px
    descend = blobs.drawn_out and blobs.clarity > 0
    standing = blobs.clarity if descend else float(np.median(blobs.standing))
    fractions = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
    fits = [f * sigma_px for f in fractions if standing * signal(f * sigma_px) / signal(scale_px) > 12]
    finest = fits[0] if fits else 1.2 * sigma_px
    return min(finest, scale_px) if descend else finest


def _finished(blobs: Blobs, factor: int, sign: int, image: Prepared, report: Report) -> Candidates:
    """In pixels and units of the file, without those far out in the vacuum."""
    x, y = ((p + 0.5) * factor - 0.5 for p in (blobs.x_px, blobs.y_px))
    spacing = _spacing(x, y)
    kept = among_columns(x, y, blobs.amplitude, spacing)
    if not kept.all():
        report.note(f"{int((~kept).sum())} faint blobs far from any clear column are left out.")
        x, y, spacing = x[kept], y[kept], _spacing(x[kept], y[kept])
    return Candidates(
        x, y,
        np.full(len(x), blobs.sigma_px * factor),
        sign * blobs.amplitude[kept] * image.unit,
        sign * blobs.background[kept] * image.unit + image.level(x, y),
        1 - noise_probability(blobs.standing[kept], blobs.threshold),
        spacing,
        sign < 0,
    )  # fmt: skip


def _spacing(x: Floats, y: Floats) -> float:
    """Median distance (px) to the nearest neighbour; NaN for fewer than three."""
    if len(x) < 3:
        return float("nan")
    places = np.column_stack([x, y])
    return float(np.median(spatial.cKDTree(places).query(places, k=2)[0][:, 1]))
