"""Detection: rough columns of any image, with no separation, size or threshold to set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import spatial, special

from atomseg_app.atoms.background import Grey, Prepared, binned, noise_level, prepare
from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.log_peaks import Filters, maxima, noise_threshold, subpixel, weak_curvature
from atomseg_app.atoms.scale import RadialSpectrum, radial_spectrum, spectral_scale
from atomseg_app.atoms.tails import Overlaps, amplitudes, shared_width
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Blobs:
    """Maxima of one scale in one image: positions and width in its pixels, response, significance and background."""

    x_px: Floats
    y_px: Floats
    amplitude: Floats
    background: Floats
    snr: Floats
    sigma_px: float
    threshold: float

    def __len__(self) -> int:
        return len(self.x_px)

    def keep(self, chosen: npt.NDArray[np.bool_]) -> Blobs:
        """The chosen ones."""
        fields = {name: getattr(self, name)[chosen] for name in ("x_px", "y_px", "amplitude", "background", "snr")}
        return replace(self, **fields)


def detect(
    values: npt.NDArray[np.generic],
    *,
    method: Literal["log", "hough"],
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
    signs = {"auto": (1, -1), "bright": (1,), "dark": (-1,)}[polarity]
    best: tuple[Blobs, int, int] | None = None
    for sign in signs:
        found, factor = _search(image, sign, start_px, spectrum, false_alarms)
        if best is None or _evidence(found) > 1.2 * _evidence(best[0]):
            best = found, factor, sign
    assert best is not None
    return _finished(*best, image)


def _none(*, dark: bool) -> Candidates:
    empty = np.empty(0)
    return Candidates(empty, empty, empty, empty, empty, empty, float("nan"), dark)


def _evidence(blobs: Blobs) -> float:
    """How much of the image the blobs explain: mean squared significance of the clear ones."""
    return float(np.mean(np.sort(blobs.snr)[-200:] ** 2)) if len(blobs) else 0.0


def _search(
    image: Prepared, sign: int, start_px: float, spectrum: RadialSpectrum, false_alarms: float
) -> tuple[Blobs, int]:
    """Blobs at the scale on which the search settles, and the binning it worked at."""
    scale_px, sigma_px = start_px, start_px
    blobs, factor = Blobs(*[np.empty(0)] * 5, sigma_px, np.inf), 1
    for _ in range(4):
        factor = max(1, int(scale_px / 2))
        level = Level(sign * binned(image.values, factor), factor, spectrum, image.valid)
        blobs = level.blobs(scale_px / factor, sigma_px / factor, false_alarms)
        if len(blobs) < 3:
            break
        sigma_px = blobs.sigma_px * factor
        finest = _finest_scale(float(np.median(blobs.snr)), scale_px, sigma_px)
        if abs(np.log(finest / scale_px)) < 0.08:
            break
        scale_px = finest
    return blobs, factor


def _finest_scale(snr: float, scale_px: float, sigma_px: float) -> float:
    """Scale between 0.6 and 1 column widths: as fine as leaves a typical column well above the noise."""

    def signal(t: float) -> float:
        return float(t**3 * sigma_px**2 / (sigma_px**2 + t**2) ** 2)

    for fraction in (0.6, 0.7, 0.8, 0.9):
        if snr * signal(fraction * sigma_px) / signal(scale_px) > 12:
            return fraction * sigma_px
    return sigma_px


class Level:
    """An image binned by ``factor``, ready to be searched at several scales near one another."""

    def __init__(self, grey: Grey, factor: int, spectrum: RadialSpectrum, valid: npt.NDArray[np.bool_] | None) -> None:
        self.grey = grey
        self._factor = factor
        self._spectrum = spectrum
        self._valid = None if valid is None else binned(valid.astype(np.float32), factor) > 0.5
        self._filters = Filters(grey, 24)

    def blobs(self, scale_px: float, sigma_px: float, false_alarms: float) -> Blobs:
        """Maxima of scale t above noise, with amplitudes cleared of neighbours' tails and their common width."""
        file_scale = scale_px * self._factor
        variance = self._spectrum.log_power(self._spectrum.noise, file_scale)
        moment = self._spectrum.log_power(self._spectrum.noise, file_scale, moment=2)
        deviation = max(np.sqrt(variance), 1e-5)
        area = self.grey.size * self._factor**2
        threshold = noise_threshold(false_alarms, area, np.sqrt(moment / variance) if variance > 0 else 1.0)
        response = self._filters.log(scale_px)
        smooth = self._filters.smooth(scale_px)
        noise = noise_level(self.grey, 12 * scale_px) * np.float32(deviation)
        rows, cols = maxima(response, 0.0)
        if self._valid is not None:
            inside = self._valid[rows, cols]
            rows, cols = rows[inside], cols[inside]
        snr = np.minimum(response[rows, cols], 2 * weak_curvature(smooth, rows, cols, scale_px)) / noise[rows, cols]
        passed = snr > threshold
        rows, cols, snr = rows[passed], cols[passed], snr[passed]
        if not len(rows):
            return Blobs(*[np.empty(0)] * 5, sigma_px, threshold)
        x, y = subpixel(response, rows, cols)
        peak = response[rows, cols].astype(float)
        overlaps = Overlaps(x, y, 4.5 * float(np.hypot(scale_px, sigma_px)))
        second = 1.5 * scale_px
        width = shared_width(
            overlaps, (scale_px, second), (peak, self._filters.log(second)[rows, cols].astype(float)), peak, sigma_px
        )
        amplitude = amplitudes(overlaps.matrix(width, scale_px), peak)
        loss = width**2 / (width**2 + scale_px**2)
        background = smooth[rows, cols] - loss * amplitude
        return Blobs(x, y, amplitude, background, snr, width, threshold)


def _finished(blobs: Blobs, factor: int, sign: int, image: Prepared) -> Candidates:
    """In pixels and units of the file."""
    x, y = ((p + 0.5) * factor - 0.5 for p in (blobs.x_px, blobs.y_px))
    # Chance that one such peak is noise, from the tail of the normal distribution above the threshold's own.
    noise = np.exp(special.log_ndtr(-blobs.snr) - special.log_ndtr(-blobs.threshold)) if len(blobs) else blobs.snr
    spacing = float("nan")
    if len(blobs) > 2:
        spacing = float(
            np.median(spatial.cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1])
        )
    return Candidates(
        x, y,
        np.full(len(blobs), blobs.sigma_px * factor),
        sign * blobs.amplitude * image.unit,
        sign * blobs.background * image.unit + image.level(x, y),
        1 - noise / 2,
        spacing,
        sign < 0,
    )  # fmt: skip
