"""How wide the columns of an image are, and whether they are bright or dark: what the network itself sees best.

A part of the image is shown to the network at a ladder of magnifications. The one at which the columns it draws explain
most of the image is right: at a wrong one it draws nothing that fits. Noise explains nothing at any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from atomseg_app.atoms.background import binned
from atomseg_app.atoms.network_pass import NetworkPass, resampling
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.operations import Report

Grey = npt.NDArray[np.float32]
Polarity = Literal["auto", "bright", "dark"]

COLUMN_PM = (15.0, 120.0)
"""Widths (rms) that images of columns have, in pm; with a calibration no other scale is tried."""

_LADDER = 1.5
_NARROWEST_PX, _WIDEST_PX = 1.05, 60.0
_CROP_PX = 320
_SURE = 0.5
_NEAR = 7  # pixels round a column that it explains, as the network sees it
_NEARLY = 0.65  # of what the best magnification explains, for another to be worth asking how many columns it sees
_FEW = 6  # columns are no pattern: a large blotch or two explain a lot
_ALL = 0.9  # of the columns
_ASTRAY = 1.8  # times that the width measured may differ from the one the image was shown at
_DARKER = 1.25  # times more that dark columns must explain than bright ones: gaps between columns look dark


@dataclass(frozen=True)
class ColumnScale:
    """How an image is to be shown to the network: as if its columns were ``shown_px`` wide, at which it sees them all;
    how wide they are (``sigma_px``, rms, px of the file); ``sign`` +1 for bright columns, -1 for dark ones."""

    shown_px: float
    sigma_px: float
    sign: int


@dataclass(frozen=True)
class Look:
    """What the network explains of an image part at one magnification, in variance a pixel of the file.

    ``columns`` it is sure of, a pixel of the file, and in all (``seen``); ``sigma_px`` how wide those are that it draws
    (rms, px of the file; NaN if unknown).
    """

    explained: float
    columns: float
    seen: int
    sigma_px: float


def column_scale(
    module: nn.Module, grey: Grey, polarity: Polarity, pixel_size_nm: float | None, device: torch.device
) -> ColumnScale:
    """Scale and polarity of the columns of an image (y, x)."""
    ladder = _ladder(min(grey.shape), pixel_size_nm)
    signs = {"bright": (1,), "dark": (-1,), "auto": (1, -1)}[polarity]
    best, chosen, enough = (-math.inf, ladder[0], math.nan), signs[0], False
    for sign in signs:
        # Dark columns would be about as wide as what stands out brightest: the gaps between them.
        rungs = ladder if sign == signs[0] or not enough else _near(ladder, best[1])
        looks = _looks(module, grey, rungs, sign, device)
        sigma = _chosen(looks)
        needed = best[0] * _DARKER if sign < 0 and best[0] > 0 else best[0]
        enough = looks[sigma].seen >= _FEW
        if looks[sigma].explained > needed and (enough or sign == signs[0]):
            best, chosen = (looks[sigma].explained, sigma, looks[sigma].sigma_px), sign
    _, sigma, measured = best
    width = float(np.clip(measured, sigma / _ASTRAY, sigma * _ASTRAY)) if math.isfinite(measured) else sigma
    return ColumnScale(sigma, width, chosen)


def _near(ladder: list[float], sigma_px: float) -> list[float]:
    """Widths of the ladder no more than one step from a width."""
    return [sigma for sigma in ladder if abs(math.log(sigma / sigma_px)) < 1.5 * math.log(_LADDER)]


def _looks(module: nn.Module, grey: Grey, ladder: list[float], sign: int, device: torch.device) -> dict[float, Look]:
    """What is seen at each width; widths that need no resampling show the same."""
    looks: dict[float, Look] = {}
    as_it_is: Look | None = None
    for sigma in ladder:
        if resampling(sigma) == 1.0:
            as_it_is = looks[sigma] = as_it_is or _look(module, _busiest(grey, sigma), sigma, sign, device)
        else:
            looks[sigma] = _look(module, _busiest(grey, sigma), sigma, sign, device)
    return looks


def _chosen(looks: dict[float, Look]) -> float:
    """Width that explains most, of those at which nearly all columns are seen that any magnification can vouch for.

    Where pairs of columns merge into one blob each, the blobs explain even a little more, but they are fewer.
    """
    looks = {sigma: look for sigma, look in looks.items() if look.seen >= _FEW} or looks
    most = max(look.explained for look in looks.values())
    vouched = {sigma: look for sigma, look in looks.items() if look.explained >= _NEARLY * most}
    if not vouched:
        return min(looks)
    crowd = max(look.columns for look in vouched.values())
    return max((s for s, look in vouched.items() if look.columns >= _ALL * crowd), key=lambda s: vouched[s].explained)


def _ladder(side_px: int, pixel_size_nm: float | None) -> list[float]:
    widest = min(_WIDEST_PX, max(2.0, side_px / 8))
    steps = math.floor(math.log(widest / _NARROWEST_PX) / math.log(_LADDER)) + 1
    ladder = [_NARROWEST_PX * _LADDER**step for step in range(steps)]
    if pixel_size_nm is None:
        return ladder
    low, high = (pm / (1000 * pixel_size_nm) for pm in COLUMN_PM)
    likely = [sigma for sigma in ladder if low / _LADDER < sigma < high * _LADDER]
    return likely or [min(ladder, key=lambda sigma: abs(math.log(sigma / math.sqrt(low * high))))]


def _busiest(grey: Grey, sigma_px: float) -> Grey:
    """Part of the image, large enough for that scale, where most happens at it."""
    side = math.ceil(_CROP_PX / min(1.0, resampling(sigma_px)))
    if max(grey.shape) <= side:
        return grey
    corners = [
        (y, x)
        for y in np.linspace(0, max(0, grey.shape[0] - side), 3).astype(int)
        for x in np.linspace(0, max(0, grey.shape[1] - side), 3).astype(int)
    ]
    y, x = max(corners, key=lambda c: _busy(grey[c[0] : c[0] + side, c[1] : c[1] + side], sigma_px))
    return grey[y : y + side, x : x + side]


def _busy(grey: Grey, sigma_px: float) -> float:
    """Mean square of what an image part holds at a scale, seen no finer than needed for that."""
    factor = max(1, int(sigma_px / 1.5))
    coarse = binned(grey, factor)
    sigma = sigma_px / factor
    band = ndimage.gaussian_filter(coarse, sigma) - ndimage.gaussian_filter(coarse, 2 * sigma)
    return float(np.square(band).mean())


def _look(module: nn.Module, grey: Grey, sigma_px: float, sign: int, device: torch.device) -> Look:
    image = NetworkPass.of(grey, sigma_px, sign, device)
    explained, bend, height, count = 0.0, 0.0, 0.0, 0
    for part in image.parts(module, Report()):
        channel = dict(zip(CHANNELS, part.channels.float(), strict=True))
        rows, columns = part.channels.shape[-2:]
        place = (slice(part.top, part.top + rows), slice(part.left, part.left + columns))
        drawn = channel["background_free"]
        rest = (image.pixels[place] - image.mean[place]) / image.scale[place] - (channel["denoised"] - drawn)
        probability = torch.sigmoid(channel["heat"])
        # Round sure columns only: steps and blotches are drawn too, a little, but not as columns.
        near = functional.max_pool2d(probability[None], 2 * _NEAR + 1, stride=1, padding=_NEAR)[0] > _SURE
        explained += float(((2 * rest * drawn - drawn**2) * image.scale[place] ** 2 * near).sum())
        bent, high, seen = _bend(probability, drawn)
        bend, height, count = bend + bent, height + high, count + seen
    sigma = _width(bend / height) / image.factor if height > 0 else math.nan
    return Look(explained / image.pixels.numel(), count / grey.size, count, sigma)


def _bend(probability: torch.Tensor, drawn: torch.Tensor) -> tuple[float, float, int]:
    """Sum over the sure columns of how far a picture of them falls off to the four neighbours, and of their height;
    and how many there are."""
    inner = probability[1:-1, 1:-1]
    highest = functional.max_pool2d(probability[None], 3, stride=1)[0]
    rows, columns = torch.nonzero((inner >= highest) & (inner > _SURE), as_tuple=True)
    rows, columns = rows + 1, columns + 1
    peak = drawn[rows, columns]
    around = drawn[rows - 1, columns] + drawn[rows + 1, columns] + drawn[rows, columns - 1] + drawn[rows, columns + 1]
    return float((4 * peak - around).sum()), float(4 * peak.sum()), len(rows)


def _width(fall: float) -> float:
    """rms width (px) of a Gaussian that falls by that part of its height from one pixel to the next."""
    return math.sqrt(-0.5 / math.log(1 - fall)) if 1e-3 < fall < 0.95 else math.nan
