"""An image as the column network sees it: without noise, without background, sharper, or as a mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app import devices
from atomseg_app.atoms.background import prepare
from atomseg_app.atoms.column_model import column_network
from atomseg_app.atoms.network_operations import Enhance, EnhancedOutput
from atomseg_app.atoms.network_pass import NetworkPass, resampled
from atomseg_app.atoms.network_scale import column_scale
from atomseg_app.atoms.own_sampling import OwnSampling
from atomseg_app.data import Image
from atomseg_app.errors import UserError
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.operations import Report

_CHANNEL: dict[EnhancedOutput, str] = {
    "denoised": "denoised",
    "background-free": "background_free",
    "super-resolved": "super_resolved",
    "mask": "circle",
    "gaussian-mask": "gaussian",
}
_MASKS: tuple[EnhancedOutput, ...] = ("mask", "gaussian-mask")
_TURNS: dict[EnhancedOutput, int] = {"denoised": 4}
"""Quarter turns whose pictures are averaged: at 5 counts a third of a decibel nearer to the truth."""


def enhance(image: Image, parameters: Enhance, report: Report) -> Image:
    """One of the network's pictures (y, x) of an image, float32, in the pixels and grey levels of the image.

    Masks are 0..1, the circular one being the probability that a pixel is inside a column. Background-free and
    super-resolved pictures are 0 where there is no column; dark columns come as negative values. An enlarged image is
    shown to the network in the pixels of its recording. Raises UserError for an image without contrast.
    """
    own = OwnSampling.of(image)
    own.tell(report)
    if not own.enlarged:
        values, sigma_px = _enhanced(image, parameters, report)
    else:
        values, sigma_px = _enhanced(own.recorded(image), parameters, report)
        values, sigma_px = own.picture_in_file(values), sigma_px * own.factor
        if parameters.output in _MASKS:
            values = values.clip(0, 1)
    metadata = {**image.metadata, "enhanced": parameters.output, "column_sigma_px": round(sigma_px, 3)}
    return replace(image, values=values, metadata=metadata)


def _enhanced(image: Image, parameters: Enhance, report: Report) -> tuple[npt.NDArray[np.float32], float]:
    """The picture in the pixels of an image as it is sampled, and the rms width of its columns (px)."""
    device = devices.choose(parameters.device, report)
    module = column_network(parameters.model, device)
    grey = prepare(image.values, report)
    if grey is None:
        raise UserError(f"{image.source.name} has no contrast: there is nothing for the network to show.")
    sizes = [size for size in image.pixel_size_nm if size is not None]
    report.progress(0.0, "Estimating the scale")
    scale = column_scale(module, grey.values, parameters.polarity, float(np.mean(sizes)) if sizes else None, device)
    # Finer than needed to see the columns costs nothing but time; coarser loses what is between them.
    seen = NetworkPass.of(grey.values, min(scale.shown_px, scale.sigma_px), scale.sign, device)
    channel = CHANNELS.index(_CHANNEL[parameters.output])
    turns = _TURNS.get(parameters.output, 1)
    picture = torch.zeros_like(seen.pixels)
    for turn in range(turns):
        first = 0.1 + 0.8 * turn / turns
        turned = _picture(
            _turned(seen, turn), module, channel, parameters.output, report.part(first, first + 0.8 / turns)
        )
        picture += torch.rot90(turned, -turn) / turns
    shown = resampled(picture, seen.shape).cpu().numpy()
    if parameters.output in _MASKS:
        values = shown.clip(0, 1)
    else:
        values = scale.sign * shown * grey.unit
        if parameters.output == "denoised":
            y, x = np.ogrid[: shown.shape[0], : shown.shape[1]]
            values = values + grey.level(x, y)
    return values.astype(np.float32), scale.sigma_px


def _turned(seen: NetworkPass, quarters: int) -> NetworkPass:
    """What the network is shown, turned by quarters of a turn."""
    pixels, mean, scale = (torch.rot90(each, quarters).contiguous() for each in (seen.pixels, seen.mean, seen.scale))
    return replace(seen, pixels=pixels, mean=mean, scale=scale)


def _picture(
    seen: NetworkPass, module: torch.nn.Module, channel: int, output: EnhancedOutput, report: Report
) -> torch.Tensor:
    """One channel of the network in units of the image that it was shown, put together from its parts."""
    picture = torch.empty_like(seen.pixels)
    for part in seen.parts(module, report):
        rows, columns = part.channels.shape[-2:]
        place = (slice(part.top, part.top + rows), slice(part.left, part.left + columns))
        picture[place] = _in_grey(part.channels[channel], seen, place, output)
    return picture


def _in_grey(
    values: torch.Tensor, seen: NetworkPass, place: tuple[slice, slice], output: EnhancedOutput
) -> torch.Tensor:
    """A channel in units of the image that the network was shown."""
    if output == "mask":
        return torch.sigmoid(values)
    if output == "gaussian-mask":
        return values
    scaled = values * seen.scale[place]
    return scaled + seen.mean[place] if output == "denoised" else scaled
