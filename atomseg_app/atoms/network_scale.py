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
from atomseg_app.networks.columns import CHANNELS, SIGMA_PX
from atomseg_app.operations import Report

Grey = npt.NDArray[np.float32]
Polarity = Literal["auto", "bright", "dark"]

COLUMN_PM = (15.0, 120.0)
"""Widths (rms) that images of columns have, in pm; with a calibration no other scale is tried."""

_LADDER = 1.5
_NARROWEST_PX, _WIDEST_PX = SIGMA_PX / _LADDER**2, 60.0
_SPECK_PX = 0.7  # width below which what is drawn are specks of noise, in pixels of the file
_NARROW, _OF_WEIGHT = 0.2, 0.15  # width and explained share, of the magnification that explains most, for likely specks
_CROP_PX = 320
_SURE = 0.5
_NEAR = 7  # pixels round a column that it explains, as the network sees it
_SLOW = (
    6.0  # rms width, as the network sees it, over which grey levels are levelled: what varies more slowly is no column
)
_NEARLY = (
    0.5  # of what the best magnification explains, for the next larger one to be worth asking how wide columns are
)
_LITTLE_LESS = 0.85  # the same for the next smaller one, where pairs may merge
_MORE, _AS_MUCH = 1.2, 0.95  # times the columns and what they explain, for pairs that merge where shown smaller
_LIKED_PX = 1.9  # width drawn at which the network is at its best: wider columns are split, narrower ones widened
_WIDE_PX = 1.75  # width drawn from which a finer magnification cannot be better
_FEW = 6  # columns are no pattern: a large blotch or two explain a lot
_CLEAR = 0.05  # of an image's variance: who explains less may have seen nothing
_ASTRAY = 1.8  # times that the width measured may differ from the one the image was shown at
_DARKER = 1.25  # times more that dark columns must explain than bright ones: gaps between columns look dark


@dataclass(frozen=True)
class ColumnScale:
    """How an image is to be shown to the network: as if its columns were ``shown_px`` wide, at which it sees them best;
    how wide they are (``sigma_px``, rms, px of the file); ``sign`` +1 for bright columns, -1 for dark ones."""

    shown_px: float
    sigma_px: float
    sign: int


@dataclass(frozen=True)
class Look:
    """What the network explains of an image part at one magnification, in variance a pixel of the file.

    ``columns`` it is sure of, a pixel of the file, and in all (``seen``); ``drawn_px`` how wide they are in what it
    draws (rms, px of the network's frame; NaN if unknown), ``sigma_px`` the same in px of the file.
    """

    explained: float
    columns: float
    seen: int
    drawn_px: float
    sigma_px: float


def column_scale(
    module: nn.Module, grey: Grey, polarity: Polarity, pixel_size_nm: float | None, device: torch.device
) -> ColumnScale:
    """Scale and polarity of the columns of an image (y, x)."""
    ladder = _ladder(min(grey.shape), pixel_size_nm)
    signs = {"bright": (1,), "dark": (-1,), "auto": (1, -1)}[polarity]
    best, chosen, clear = (-math.inf, ladder[0], math.nan), signs[0], False
    for sign in signs:
        # Dark columns would be about as wide as what stands out brightest: the gaps between them.
        rungs = _near(ladder, best[1]) if clear else ladder
        looks = _looks(module, grey, rungs, sign, device)
        sigma = _chosen(looks)
        needed = best[0] * _DARKER if sign < 0 and best[0] > 0 else best[0]
        enough = looks[sigma].seen >= _FEW
        if looks[sigma].explained > needed and (enough or sign == signs[0]):
            best, chosen = (looks[sigma].explained, sigma, looks[sigma].sigma_px), sign
            clear = enough and looks[sigma].explained > _CLEAR
    _, sigma, measured = best
    width = float(np.clip(measured, sigma / _ASTRAY, sigma * _ASTRAY)) if math.isfinite(measured) else sigma
    return ColumnScale(sigma, width, chosen)


def _near(ladder: list[float], sigma_px: float) -> list[float]:
    """Widths of the ladder no more than one step from a width."""
    return [sigma for sigma in ladder if abs(math.log(sigma / sigma_px)) < 1.5 * math.log(_LADDER)]


def _looks(module: nn.Module, grey: Grey, ladder: list[float], sign: int, device: torch.device) -> dict[float, Look]:
    """What is seen at each width, from the widest on; the finest, which costs most, only where it may be better."""
    looks: dict[float, Look] = {}
    for sigma in sorted(ladder, reverse=True):
        if looks and sigma == min(ladder) and resampling(sigma) > 1:
            before, most = looks[min(looks)], max(look.explained for look in looks.values())
            if _vouched(before, _NEARLY * most) and before.drawn_px >= _WIDE_PX:
                break
        looks[sigma] = _look(module, _busiest(grey, sigma), sigma, sign, device)
    return looks


def _vouched(look: Look, least: float) -> bool:
    """Whether a magnification shows a pattern, and explains enough."""
    return look.seen >= _FEW and look.explained >= least and math.isfinite(look.drawn_px)


def _chosen(looks: dict[float, Look]) -> float:
    """Width at which the network draws columns as wide as it likes them: the one that explains most, or one beside it.

    Shown too large, columns are split where the network knows wider ones as two; too small, neighbours merge.
    """
    greatest = max(looks.values(), key=lambda look: look.explained)
    looks = {sigma: look for sigma, look in looks.items() if not _specks(look, greatest)} or looks
    patterns = {sigma: look for sigma, look in looks.items() if look.seen >= _FEW} or looks
    best = max(patterns, key=lambda sigma: (patterns[sigma].explained, -sigma))
    most = patterns[best].explained
    least = {sigma: (_LITTLE_LESS if sigma > best else _NEARLY) * most for sigma in _near(list(patterns), best)}
    vouched = [sigma for sigma in least if _vouched(patterns[sigma], least[sigma])]
    liked = min(vouched, key=lambda sigma: abs(math.log(patterns[sigma].drawn_px / _LIKED_PX)), default=best)
    merged = [sigma for sigma in vouched if sigma < liked and _as_pairs(patterns[sigma], patterns[liked])]
    return max(merged, default=liked)


def _specks(look: Look, greatest: Look) -> bool:
    """Whether what is drawn is noise: narrower than any column, or by far narrower than what weighs much more."""
    narrow = look.sigma_px < _NARROW * greatest.sigma_px and look.explained < _OF_WEIGHT * greatest.explained
    return look.sigma_px < _SPECK_PX or narrow


def _as_pairs(look: Look, other: Look) -> bool:
    """Whether a larger magnification explains as much with clearly more columns, and not by splitting wide ones."""
    more = look.columns > _MORE * other.columns and look.drawn_px <= _LIKED_PX
    return more and look.explained > _AS_MUCH * other.explained


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
        scale = image.scale[place]
        # Levelled, or a pedestal under all columns, and as much less background, would explain what is not there.
        shown = _levelled(image.pixels[place] - image.mean[place])
        columns_only = _levelled(drawn * scale)
        probability = torch.sigmoid(channel["heat"])
        # Round sure columns only: steps and blotches are drawn too, a little, but not as columns.
        near = _highest_within(probability, _NEAR) > _SURE
        explained += float(((2 * shown * columns_only - columns_only**2) * near).sum())
        bent, high, seen = _bend(probability, drawn)
        bend, height, count = bend + bent, height + high, count + seen
    drawn_px = _width(bend / height) if height > 0 else math.nan
    return Look(explained / image.pixels.numel(), count / grey.size, count, drawn_px, drawn_px / image.factor)


def _levelled(picture: torch.Tensor) -> torch.Tensor:
    """Picture (y, x) without what varies slowly."""
    reach = math.ceil(3 * _SLOW)
    line = torch.exp(-(torch.arange(-reach, reach + 1, device=picture.device) ** 2) / (2 * _SLOW**2))
    blurred = picture[None, None]
    for kernel in (line[:, None], line[None, :]):
        weights = (kernel / kernel.sum())[None, None].to(picture)
        pad = (kernel.shape[1] // 2, kernel.shape[1] // 2, kernel.shape[0] // 2, kernel.shape[0] // 2)
        blurred = functional.conv2d(functional.pad(blurred, pad, mode="replicate"), weights)
    return picture - blurred[0, 0]


def _highest_within(values: torch.Tensor, reach: int) -> torch.Tensor:
    """Highest value (y, x) in the square that reaches so far: along rows, then along columns, which is much faster."""
    along = functional.max_pool2d(values[None], (1, 2 * reach + 1), stride=1, padding=(0, reach))
    return functional.max_pool2d(along, (2 * reach + 1, 1), stride=1, padding=(reach, 0))[0]


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
