"""What an image looks like to a simulator: noise, scan jitter, width, spacing and background, measured from columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from atomseg_app.atoms import measured, noise, refine
from atomseg_app.atoms.problem import Prior, Problem, Scene
from atomseg_app.data import FLAG_NOT_CONVERGED, FLAG_VACANT, Columns, Image
from atomseg_app.errors import UserError

Floats = npt.NDArray[np.float64]
Grey = npt.NDArray[np.float32]

FEWEST = 12
"""Columns that are needed to measure an appearance."""

_GROUND = (0.01, 5.0)  # background in typical peaks that the simulator is asked for
_NO_GAIN_GROUND = 3.0  # noise that does not grow with the level is that of a high background
_DOSE = (1.0, 2000.0)
_UNEVEN_SPACINGS = 1.0  # background is what varies more slowly than this


@dataclass(frozen=True)
class Appearance:
    """Image of columns in numbers, in pixels of the file.

    ``sigma_px`` rms width, ``spacing_px`` median distance of neighbours, ``dose`` counts of a typical peak a pixel,
    ``background`` under it in peaks, ``jitter_px`` rms displacement of scan lines, ``correlation`` of the noise of
    neighbouring pixels, ``dark`` whether columns are darker than their ground; ``x_px``, ``y_px``, ``amplitude`` (n,)
    of the columns, the latter positive and in typical peaks; ``shape`` (y, x) of the image.
    """

    sigma_px: float
    spacing_px: float
    dose: float
    background: float
    jitter_px: float
    correlation: float
    dark: bool
    x_px: Floats
    y_px: Floats
    amplitude: Floats
    shape: tuple[int, int]


def appearance_of(image: Image, columns: Columns) -> Appearance:
    """Appearance of an image from columns found in it. Raises UserError where they are too few.

    Counts follow from how the variance of what the columns leave unexplained grows with the level; an unknown offset
    and gain of the detector drop out. Line displacements follow from the residual along the slopes of each row.
    """
    table = columns.table[~np.isin(columns.table["flag"], (FLAG_NOT_CONVERGED, FLAG_VACANT))]
    if len(table) < FEWEST:
        raise UserError(
            f"{len(table)} columns are too few to tell what the image looks like; find or add at least {FEWEST} first."
        )
    scene = Scene.of(image.values, torch.device("cpu"))
    state = measured.state_of(table, scene)
    sigma = float(np.median(state.sigma))
    places = np.column_stack([table["x_px"], table["y_px"]])
    spacing = float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))
    sign = 1.0 if float(np.sum(state.amplitude)) >= 0 else -1.0
    strength = sign * state.amplitude
    bright = strength > 0
    typical = float((strength[bright] ** 2).sum() / strength[bright].sum())
    renderer = Problem(scene, sigma, spacing, Prior(refine.WIDTH_SD, np.inf)).renderer
    drawn = renderer.render(state)
    valid = scene.valid.numpy()
    ground = _smooth(scene.data.numpy() - drawn.numpy(), valid, _UNEVEN_SPACINGS * max(spacing, 2 * sigma))
    residual = np.where(valid, scene.data.numpy() - drawn.numpy() - ground, 0)
    level = drawn.numpy() + ground
    law = noise.estimate(torch.from_numpy(residual), torch.from_numpy(level), scene.valid)
    under = float(np.median(ground[valid]))
    dose, background = _counts(law, typical, under)
    jitter = _line_jitter(drawn.numpy(), residual, law.variance(torch.from_numpy(level)).numpy(), spacing)
    both = residual[:, 1:] * residual[:, :-1]
    correlation = float(both.mean() / max(float((residual**2).mean()), 1e-12))
    return Appearance(
        sigma, spacing, dose, background, jitter, correlation, sign < 0, table["x_px"][bright].copy(),
        table["y_px"][bright].copy(), strength[bright] / typical, scene.shape,
    )  # fmt: skip


def _smooth(values: Grey, valid: npt.NDArray[np.bool_], scale_px: float) -> Grey:
    """Gaussian mean over the valid pixels."""
    weight = ndimage.gaussian_filter(valid.astype(np.float32), scale_px)
    total = ndimage.gaussian_filter(np.where(valid, values, 0).astype(np.float32), scale_px)
    return np.asarray(total / np.maximum(weight, 1e-3), np.float32)


def _counts(law: noise.Noise, typical: float, under: float) -> tuple[float, float]:
    """Counts of a typical peak, and background in peaks, that give the same noise. ``under`` is the ground's level."""
    variance = max(law.gain * under + law.constant, law.floor)
    background = float(np.clip(variance / (law.gain * typical), *_GROUND)) if law.gain > 0 else _NO_GAIN_GROUND
    # Equal signal-to-noise half way up a column.
    half = variance + 0.5 * law.gain * typical
    dose = (background + (0.5 if law.gain > 0 else 0.0)) * typical**2 / half
    return float(np.clip(dose, *_DOSE)), background


def _line_jitter(drawn: Grey, residual: Grey, variance: Grey, part_px: float) -> float:
    """Root mean square displacement of rows along x (px): residuals on the slopes of parts of rows, less their noise.

    A part is short, because the displacement changes along a row.
    """
    slope = np.gradient(drawn.astype(np.float64), axis=1)
    starts = np.arange(0, drawn.shape[1], max(4, round(part_px)))
    information = np.add.reduceat(slope**2 / variance, starts, axis=1)
    score = np.add.reduceat(slope / variance * residual, starts, axis=1)
    weight = float((information**2).sum())
    return float(np.sqrt(max(0.0, float((score**2 - information).sum()) / weight))) if weight > 0 else 0.0
