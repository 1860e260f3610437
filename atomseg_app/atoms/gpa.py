"""Geometric phase analysis: strain and rotation maps from the local frequencies of two reflections of an image.

Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74, 131 (1998). The image filtered by a mask round a reflection is a carrier
whose frequency is that reflection locally; two of them, G(r) against their mean G0 in the reference region, give the
map F = G(r)^-1 G0 exactly, for strains and rotations of any size; F = V R as for columns (:mod:`strain`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from atomseg_app.atoms.physics_operations import GeometricPhase, Mask
from atomseg_app.atoms.strain import polar
from atomseg_app.data import Image, ImageSeries
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Floats = npt.NDArray[np.floating]
Complex = npt.NDArray[np.complexfloating]

LAYERS = ("strain_xx", "strain_yy", "strain_xy", "rotation_deg")
_LEAST_PERIODS = 6.0  # across the image: what repeats less often is no lattice
_FLATTEST = 0.3  # sine of the angle between reflections
_DIM = 0.12  # of the usual amplitude of a reflection: where it is weaker, the phase means nothing
_MARGIN = 2.5  # of the mask's width in the image, zeros beyond the border


def geometric_phase(image: Image, parameters: GeometricPhase, report: Report) -> ImageSeries:
    """Maps (4, y, x): strain xx, yy, xy and rotation in degrees, NaN where there is no lattice.

    Axes are the image's, a positive rotation goes from +x towards +y. Raises UserError for an image without two
    reflections, and for reflections that are no two directions.
    """
    values = np.asarray(image.values, np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        report.note(f"{int(bad.sum())} pixels are not numbers; the mean of the others stands in for them.")
    if bad.all() or np.ptp(values[~bad]) == 0:
        raise UserError(f"{image.source.name}: the image is of one value, so it has no reflections.")
    values = np.where(bad, values[~bad].mean() if bad.any() else 0, values)
    values -= values.mean()
    given = (parameters.reflection_1, parameters.reflection_2)
    reflections = reflections_of(values, given, image.source.name)
    report.progress(0.3, "two reflections")
    size = parameters.mask_size * float(np.hypot(*reflections.T).min())
    carriers = [filtered(values, reflection, size, parameters.mask) for reflection in reflections]
    report.progress(0.7, "frequencies")
    amplitude = np.stack([np.abs(carrier) for carrier in carriers])
    usual = np.percentile(amplitude, 90, axis=(1, 2), keepdims=True)
    clear = (amplitude > _DIM * usual).all(axis=0)
    local = np.stack([_frequency(carrier) for carrier in carriers], axis=-2)  # (y, x, reflection, axis)
    size_y, size_x = image.pixel_size_nm
    if size_y is not None and size_x is not None:
        local[..., 1] /= size_y / size_x
    maps = _maps(local, clear, parameters.region_px)
    facts = {
        "layers": list(LAYERS), "reflections_per_px": reflections.tolist(),
        "resolution_px": 1 / (2 * np.pi * size), "units": ["", "", "", "°"],
    }  # fmt: skip
    return ImageSeries(maps, image.pixel_size_nm, image.source, {**image.metadata, **facts}, image.history)


def reflections_of(
    values: Floats, given: tuple[tuple[float, float] | None, tuple[float, float] | None], name: str
) -> npt.NDArray[np.float64]:
    """Two reflections (2, 2), as (x, y) in periods per pixel: those given, or the strongest on two lines."""
    height, width = values.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(fft.rfft2(values * window)) ** 2
    ky, kx = np.meshgrid(fft.fftfreq(height), fft.rfftfreq(width), indexing="ij")
    k = np.hypot(kx, ky)
    ring = np.minimum((k * 2 * min(height, width)).astype(int), 4 * min(height, width))
    level = np.bincount(ring.ravel(), power.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    excess = ndimage.gaussian_filter(power, 0.7, mode="wrap") - level[ring]
    excess[k < _LEAST_PERIODS / min(height, width)] = 0
    found = [None if one is None else np.array(one, float) for one in given]
    for place in range(2):
        other = found[1 - place]
        if found[place] is not None:
            continue
        allowed = excess
        if other is not None:
            sine = np.abs(kx * other[1] - ky * other[0]) / np.maximum(k * np.hypot(*other), 1e-12)
            allowed = np.where(sine > _FLATTEST, excess, 0)
        best = np.unravel_index(int(np.argmax(allowed)), allowed.shape)
        if allowed[best] <= 0:
            raise UserError(f"{name}: no two reflections of a lattice; give them, or a part of the image with one.")
        found[place] = np.array([kx[best], ky[best]])
    both = np.array(found)
    lengths = np.hypot(*both.T)
    if lengths.min() == 0 or abs(np.linalg.det(both)) < 0.1 * lengths.prod():
        raise UserError("The two reflections lie on one line; give two that do not.")
    return both


def filtered(values: Floats, reflection: npt.NDArray[np.float64], size: float, mask: Mask) -> Complex:
    """The image (y, x) seen through a mask of that size (periods per pixel) round one reflection; complex."""
    margin = int(np.ceil(_MARGIN / (2 * np.pi * size)))
    shape = [fft.next_fast_len(n + 2 * margin) for n in values.shape]
    spectrum = fft.fft2(values.astype(np.complex64), shape)
    away = np.hypot(
        fft.fftfreq(shape[1])[None] - reflection[0], fft.fftfreq(shape[0])[:, None] - reflection[1]
    ) / size  # fmt: skip
    if mask == "gaussian":
        weight = np.exp(-(away**2) / 2)
    else:
        weight = np.where(away < 2, (1 + np.cos(np.pi * np.minimum(away, 2) / 2)) / 2 / (1 + away**2), 0)
    carrier = fft.ifft2(spectrum * weight.astype(np.float32))
    return np.asarray(carrier[: values.shape[0], : values.shape[1]])


def _frequency(carrier: Complex) -> npt.NDArray[np.float64]:
    """Local frequency (y, x, 2) of a carrier along x and y, from the phase between neighbouring pixels."""
    result = np.empty((*carrier.shape, 2))
    for place, axis in ((0, 1), (1, 0)):
        ahead, behind = (np.roll(carrier, shift, axis) for shift in (-1, 1))
        turn = np.angle(ahead * np.conj(carrier)), np.angle(carrier * np.conj(behind))
        last = carrier.shape[axis] - 1
        at = np.arange(last + 1).reshape((1, -1) if axis == 1 else (-1, 1))
        # Periods of less than two pixels do not occur; the mean of both sides is the slope in the middle.
        turns = np.where(at == last, turn[1], np.where(at == 0, turn[0], (turn[0] + turn[1]) / 2))
        result[..., place] = turns / (2 * np.pi)
    return result


def _maps(
    local: npt.NDArray[np.float64], clear: npt.NDArray[np.bool_], region: tuple[int, int, int, int] | None
) -> npt.NDArray[np.float32]:
    """Strain and rotation (4, y, x) of local reflections (y, x, 2, 2) against their mean where it is clear."""
    within = clear.copy()
    if region is not None:
        left, top, right, bottom = region
        within[:] = False
        within[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
        within &= clear
    if not within.any():
        raise UserError("The reference region shows no lattice; choose one inside the crystal.")
    reference = np.median(local[within], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        (a, b), (c, d) = (local[..., 0, 0], local[..., 0, 1]), (local[..., 1, 0], local[..., 1, 1])
        inverse = np.stack([np.stack([d, -b], -1), np.stack([-c, a], -1)], -2) / (a * d - b * c)[..., None, None]
        stretch, angle = polar(inverse @ reference)
    maps = np.stack([stretch[..., 0, 0] - 1, stretch[..., 1, 1] - 1, stretch[..., 0, 1], np.degrees(angle)])
    maps[:, ~clear] = np.nan
    return maps.astype(np.float32)
