"""Detection by the column network: peaks of its probability become candidates for the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import nn
from torch.nn import functional

from atomseg_app.atoms.background import burnt_in, prepare
from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.network_pass import NetworkPass, Part
from atomseg_app.atoms.network_scale import Polarity, column_scale
from atomseg_app.networks.columns import CHANNELS, HEAT_PX
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

THRESHOLD = 0.45
"""Probability from which a peak is a column."""

_LEAST = 0.05  # peaks below are not looked at
_APART_PX = 1.5  # peaks of one column seen from two tiles are nearer than this
_REACH = 2


_LABEL_SIGMA = 8.0  # areas of one bright value longer than this are labels, not columns


def detect_by_network(
    module: nn.Module,
    values: npt.NDArray[Any],
    polarity: Polarity,
    pixel_size_nm: float | None,
    device: torch.device,
    report: Report,
) -> Candidates:
    """Columns of an image ``values`` (y, x) of any real type, as :class:`Candidates` in its pixels.

    Scale and polarity are found with the network itself. Raises UserError for arrays that are no image. NaN and
    infinite pixels, and burnt-in labels, are left out with a note.
    """
    image = prepare(values, report)
    if image is None:
        return _none(dark=polarity == "dark")
    report.progress(0.05, "Estimating the scale")
    scale = column_scale(module, image.values, polarity, pixel_size_nm, device)
    labels = burnt_in(image.values, _LABEL_SIGMA * scale.sigma_px)
    if labels is not None:
        report.note(f"{int(labels.sum()):,} pixels of burnt-in labels or scale bars are left out of the search.")
        image = image.without(labels)
    seen = NetworkPass.of(image.values, scale.shown_px, scale.sign, device)
    peaks = find_peaks(module, seen, report.part(0.3, 1.0))
    if image.valid is not None:
        y, x = (
            np.rint(at).astype(int).clip(0, size - 1)
            for at, size in zip((peaks.y_px, peaks.x_px), values.shape, strict=True)
        )
        peaks = peaks.take(image.valid[y, x])
    found = candidates_of(peaks, scale.sigma_px, scale.sign < 0)
    return replace(
        found,
        amplitude=found.amplitude * image.unit,
        background=found.background * image.unit + image.level(found.x_px, found.y_px),
    )


def _none(*, dark: bool) -> Candidates:
    empty = np.empty(0)
    return Candidates(empty, empty, empty, empty, empty, empty, float("nan"), dark)


@dataclass(frozen=True)
class Peaks:
    """Peaks of the probability in pixels of the file: positions, ``probability``, ``amplitude`` and ``level`` in its
    grey levels (level: what lies under the column)."""

    x_px: Floats
    y_px: Floats
    probability: Floats
    amplitude: Floats
    level: Floats

    def take(self, keep: npt.NDArray[np.bool_]) -> Peaks:
        """Those peaks only."""
        return Peaks(*(values[keep] for values in vars(self).values()))


def find_peaks(module: nn.Module, image: NetworkPass, report: Report) -> Peaks:
    """Every peak of the network's column probability in an image, the more probable of two that coincide."""
    found = [_peaks_of(part, image) for part in image.parts(module, report)]
    x, y, probability, amplitude, level = (np.concatenate(values) for values in zip(*found, strict=True))
    once = _once(x, y, probability)
    scale = image.sign
    return Peaks(
        image.in_file(x[once], 1), image.in_file(y[once], 0), probability[once], scale * amplitude[once],
        scale * level[once],
    )  # fmt: skip


def candidates_of(peaks: Peaks, sigma_px: float, dark: bool, threshold: float = THRESHOLD) -> Candidates:
    """Peaks of at least a probability as candidates, all of one width."""
    peaks = peaks.take(peaks.probability >= threshold)
    places = np.column_stack([peaks.x_px, peaks.y_px])
    spacing = float(np.median(cKDTree(places).query(places, k=2)[0][:, 1])) if len(places) >= 3 else float("nan")
    return Candidates(
        peaks.x_px, peaks.y_px, np.full(len(places), sigma_px), peaks.amplitude, peaks.level, peaks.probability,
        spacing, dark,
    )  # fmt: skip


def _peaks_of(part: Part, image: NetworkPass) -> tuple[Floats, ...]:
    """x, y (resampled frame), probability, amplitude, level of the peaks of one part, bright columns assumed."""
    channel = dict(zip(CHANNELS, part.channels.float(), strict=True))
    probability = torch.sigmoid(channel["heat"])
    highest = functional.max_pool2d(probability[None], 3, stride=1, padding=1)[0]
    rows, columns = torch.nonzero((probability >= highest) & (probability > _LEAST), as_tuple=True)
    mean = image.mean[part.top + rows, part.left + columns]
    scale = image.scale[part.top + rows, part.left + columns]
    under = channel["denoised"] - channel["background_free"]
    values = (
        columns + channel["offset_x"][rows, columns].clamp(-_REACH, _REACH) + part.left,
        rows + channel["offset_y"][rows, columns].clamp(-_REACH, _REACH) + part.top,
        _exists(probability)[rows, columns],
        channel["amplitude"][rows, columns].clamp(min=1e-3) * scale,
        under[rows, columns] * scale + mean,
    )
    return tuple(value.double().cpu().numpy() for value in values)


def _exists(probability: torch.Tensor) -> torch.Tensor:
    """Probability (y, x) that a column stands about there, however uncertain its place.

    The network's answer is a peak of known width times that probability, blurred by the uncertainty of the place; the
    sum over the peak is not.
    """
    reach = _REACH
    line = torch.exp(-(torch.arange(-reach, reach + 1, device=probability.device) ** 2) / (2 * HEAT_PX**2))
    kernel = (line[:, None] * line[None, :])[None, None]
    peak = functional.conv2d(probability[None, None], kernel, padding=reach)[0, 0]
    return (peak / (kernel**2).sum()).clamp(max=1.0)


def _once(x: Floats, y: Floats, probability: Floats) -> npt.NDArray[np.intp]:
    """Indices of the peaks without doubles."""
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(_APART_PX, output_type="ndarray")
    weaker = np.where(probability[pairs[:, 0]] < probability[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return np.setdiff1d(np.arange(len(x)), weaker)
