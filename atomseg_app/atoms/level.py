"""One image at one scale: its blobs, found strongest first, each pass on what the earlier ones left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import spatial

from atomseg_app.atoms.background import Grey, Mask
from atomseg_app.atoms.hough import centres
from atomseg_app.atoms.log_peaks import Filters, curvature, maxima, roundness, subpixel, weaker
from atomseg_app.atoms.significance import Intensity, Noise, Running
from atomseg_app.atoms.tails import Overlaps, amplitudes, log_profile, render, shared_width

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_START = 3.0  # noise deviations that let a maximum into the model, until the noise is known better
_TELLING = 4.0  # noise deviations at which maxima are counted to tell an image of columns from one of noise
_CLEAR = 5.0  # noise deviations above which a blob is no accident
_DOUBT = 0.8  # part of the threshold below which a blob is given back to the noise before the others are judged
_WINDOW = 20  # side, in filter scales, of the square over which noise is averaged
_WIDER = 1.5  # second filter scale, in units of the first, from which the width follows
_ROUND = 0.2  # a step or a stripe has a roundness near 0, two columns in touch 0.3
_MISFIT = 0.15  # part of a column that the model of a Gaussian may leave behind, over twice its width
_LEAST = 0.04  # weakest column looked for, as part of the strong ones


@dataclass(frozen=True)
class Blobs:
    """Blobs (n,) of a common width, in pixels of their image; ``standing`` is each one's height in noise deviations.

    ``minor_px`` is the width across the direction in which blobs are drawn out on average, as unresolved pairs are.
    ``clarity`` is the median height in deviations of the noise of pixels, which no misfit of a model can enlarge.
    """

    x_px: Floats
    y_px: Floats
    amplitude: Floats
    background: Floats
    standing: Floats
    sigma_px: float
    minor_px: float
    threshold: float
    clarity: float = 0.0

    @property
    def clear(self) -> int:
        """How many are no accident."""
        return int((self.standing > _CLEAR).sum())

    @property
    def drawn_out(self) -> bool:
        """Whether blobs are longer than wide in a common direction, so that each may be two."""
        return self.minor_px < 0.85 * self.sigma_px

    def __len__(self) -> int:
        return len(self.x_px)


def no_blobs(sigma_px: float) -> Blobs:
    """An image in which there are none."""
    empty = np.empty(0)
    return Blobs(empty, empty, empty, empty, empty, sigma_px, sigma_px, np.inf)


class Level:
    """An image (y, x) searched for bright blobs at one scale t in its own pixels; ``valid`` is where it counts."""

    def __init__(self, grey: Grey, valid: Mask | None, scale_px: float, counts: Grey | None) -> None:
        self._grey = grey
        self._valid = valid
        self._scale = scale_px
        self._window = max(_WINDOW * scale_px, 32.0)
        self._counts = counts if counts is None else Running(counts, self._window)
        self._whole = self._filters(grey)
        self._response, self._smooth = self._whole.log(scale_px), self._whole.smooth(scale_px)
        self._wide = self._whole.log(_WIDER * scale_px)
        self._taken_off: tuple[Blobs, Noise] | None = None
        self._intensity = Intensity(self._smooth, self._window)

    def holds_more_than_noise(self) -> bool:
        """Whether far more maxima stand out than noise of this spectrum has, so that blobs may be taken off."""
        noise = self._all_noise
        rows, cols = maxima(self._response, 0.0)
        standing = noise.standing(self._across(rows, cols), rows, cols, self._scale)
        standing = noise.heavy_tailed(standing, rows, cols, self._scale)
        expected = noise.expected_maxima(self._scale, _TELLING)
        return bool((standing > _TELLING).sum() > 2 * expected + 5 * np.sqrt(expected) + 3)

    def _across(self, rows: Index, cols: Index) -> Floats:
        """LoG response, or that of the smaller curvature where it is less: an edge, however high, has none along it."""
        along = weaker(curvature(self._smooth, rows, cols), self._scale)
        return np.asarray(np.minimum(self._response[rows, cols], along), float)

    @cached_property
    def _all_noise(self) -> Noise:
        """The whole image taken as noise, and as even as its own scatter."""
        return Noise(self._grey, self._window, self._counts)

    @cached_property
    def _noise(self) -> Noise:
        """The whole image taken as noise that goes with its intensity."""
        return self._all_noise.following(self._intensity)

    def _noise_without(self, blobs: Blobs, model: Grey | None = None) -> Noise:
        """Noise of what blobs leave when they are taken off; their ``model`` (y, x) where it is at hand."""
        if self._taken_off is None or self._taken_off[0] is not blobs:
            left = self._grey - (self._model(blobs) if model is None else model)
            self._taken_off = blobs, Noise(left, self._window, self._counts).following(self._intensity)
        return self._taken_off[1]

    def _filters(self, grey: Grey) -> Filters:
        return Filters(grey, 6 * self._scale)

    def grow(self, sigma_px: float, passes: int) -> Blobs:
        """Blobs that stand a little out of the noise; ``sigma_px`` is a first guess of their width.

        Each pass looks at what the blobs so far leave when they are taken off: so a weak column beside a strong one
        shows itself, and the noise is not mistaken for larger than it is. Noise passes too, at this stage.
        """
        blobs, noise = no_blobs(sigma_px), self._noise
        response, smooth, doubt = self._response, self._smooth, np.zeros_like(self._grey)
        for turn in range(passes):
            rows, cols = maxima(response, 0.05 * noise.deviation(self._scale))
            if self._valid is not None:
                rows, cols = rows[self._valid[rows, cols]], cols[self._valid[rows, cols]]
            passed = noise.standing(response[rows, cols] - doubt[rows, cols], rows, cols, self._scale) > _START
            passed &= roundness(curvature(smooth, rows, cols)) > _ROUND
            x, y = subpixel(response, rows[passed], cols[passed])
            x, y = _apart_from(blobs, x, y, 2.6 * max(self._scale, blobs.sigma_px))
            if not len(x):
                break
            blobs = self._measured(np.append(blobs.x_px, x), np.append(blobs.y_px, y), blobs.sigma_px, noise)
            model = self._model(blobs)
            noise = self._noise_without(blobs, model)
            if turn + 1 < passes:
                taken = self._filters(model)
                left = self._whole.minus(taken)
                response, smooth = left.log(self._scale), left.smooth(self._scale)
                doubt = self._misfit(taken, blobs.sigma_px)
        if not len(blobs):
            return blobs
        standing = self._standing(blobs, noise)
        white = noise.white_deviation(self._scale) / noise.deviation(self._scale)
        blobs = replace(blobs, standing=standing, clarity=float(np.median(standing)) / max(white, 1e-3))
        self._taken_off = blobs, noise
        return blobs

    def _standing(self, blobs: Blobs, noise: Noise) -> Floats:
        """How far each blob's own amplitude, without its neighbours' tails, stands out of noise."""
        own = float(log_profile(np.zeros(1), blobs.sigma_px, self._scale)[0])
        rows, cols = self._pixels(blobs.x_px, blobs.y_px)
        return noise.standing(blobs.amplitude * own, rows, cols, self._scale)

    def _misfit(self, model: Filters, sigma_px: float) -> Grey:
        """Response that columns may leave behind around them because they are no Gaussians: a wider copy of each."""
        wider = model.smooth(float(np.sqrt(3)) * sigma_px)  # width 2 sigma, and a quarter of the height
        wider *= np.float32(4 * _MISFIT * log_profile(np.zeros(1), sigma_px, self._scale)[0])
        return wider

    def voted(self, width_px: float) -> Blobs:
        """Blobs at the centres that the circular Hough transform finds."""
        x, y = centres(self._smooth, float(np.hypot(width_px, self._scale)))
        rows, cols = self._pixels(x, y)
        noise = self._noise
        standing = noise.standing(self._response[rows, cols], rows, cols, self._scale)
        passed = (standing > _START) & (roundness(curvature(self._smooth, rows, cols)) > _ROUND)
        if self._valid is not None:
            passed &= self._valid[rows, cols]
        return self._measured(x[passed], y[passed], width_px, noise)

    def strict(self, sigma_px: float, false_alarms: float) -> Blobs:
        """Blobs that stand out of all the rest of the image, taken as noise."""
        blobs = self.grow(sigma_px, 1)
        noise = self._all_noise
        rows, cols = self._pixels(blobs.x_px, blobs.y_px)
        across = noise.standing(self._across(rows, cols), rows, cols, self._scale)
        blobs = _chosen(blobs, across > 0.6 * noise.threshold(self._scale, false_alarms))
        return self._decided(blobs, noise, false_alarms)

    def settle(self, blobs: Blobs, false_alarms: float) -> Blobs:
        """The blobs that noise would not make: all that stand out of the noise left when only they are taken off.

        The doubtful first go back into the image, where they count as noise again.
        """
        noise = self._noise_without(blobs)
        sure = self._law(blobs, noise) >= _DOUBT * noise.threshold(self._scale, false_alarms)
        if not sure.all():
            blobs = self._measured(blobs.x_px[sure], blobs.y_px[sure], blobs.sigma_px, noise)
            noise = self._noise_without(blobs)
        return self._decided(blobs, noise, false_alarms)

    def _law(self, blobs: Blobs, noise: Noise) -> Floats:
        """Standing (n,) in a normal law."""
        return noise.heavy_tailed(self._standing(blobs, noise), *self._pixels(blobs.x_px, blobs.y_px), self._scale)

    def _decided(self, blobs: Blobs, noise: Noise, false_alarms: float) -> Blobs:
        if not len(blobs):
            return blobs
        standing, threshold = self._law(blobs, noise), noise.threshold(self._scale, false_alarms)
        kept = (standing > threshold) & (blobs.amplitude > _LEAST * np.quantile(blobs.amplitude, 0.9))
        return _chosen(replace(blobs, standing=standing, threshold=threshold), kept)

    def _model(self, blobs: Blobs) -> Grey:
        return render(blobs.x_px, blobs.y_px, blobs.amplitude, blobs.sigma_px, self._grey.shape)

    def _pixels(self, x: Floats, y: Floats) -> tuple[Index, Index]:
        """Rows and columns of the nearest inner pixels."""
        ny, nx = self._grey.shape
        return np.clip(np.rint(y).astype(np.intp), 1, ny - 2), np.clip(np.rint(x).astype(np.intp), 1, nx - 2)

    def _measured(self, x: Floats, y: Floats, sigma_px: float, noise: Noise) -> Blobs:
        """Common width, amplitudes cleared of neighbours, and backgrounds of blobs at given places."""
        if not len(x):
            return no_blobs(sigma_px)
        rows, cols = self._pixels(x, y)
        near, far = self._response[rows, cols].astype(float), self._wide[rows, cols].astype(float)
        scale = self._scale
        overlaps = Overlaps(x, y, 4.5 * float(np.hypot(scale, sigma_px)))
        standing = noise.standing(near, rows, cols, scale)
        # The weakest are in part noise, which is narrow: they have no say in the width where there are others.
        weight = np.maximum(standing - min(_CLEAR, 0.7 * float(standing.max())), 0)
        width = shared_width(overlaps, (scale, _WIDER * scale), (near, far), weight, sigma_px)
        amplitude = amplitudes(overlaps.matrix(width, scale), near)
        shown = width**2 / (width**2 + scale**2)
        tensor = curvature(self._smooth, rows, cols).mean(axis=0)
        minor2 = (width**2 + scale**2) * (1 + float(roundness(tensor))) / 2 - scale**2
        minor = float(np.sqrt(max(minor2, (width / 3) ** 2)))
        background = self._smooth[rows, cols] - shown * amplitude
        return Blobs(x, y, amplitude, background, standing, width, minor, np.inf)


def _chosen(blobs: Blobs, chosen: npt.NDArray[np.bool_]) -> Blobs:
    names = ("x_px", "y_px", "amplitude", "background", "standing")
    return replace(blobs, **{name: getattr(blobs, name)[chosen] for name in names})


def _apart_from(blobs: Blobs, x: Floats, y: Floats, distance_px: float) -> tuple[Floats, Floats]:
    """The places further than a distance from every blob."""
    if not len(blobs) or not len(x):
        return x, y
    tree = spatial.cKDTree(np.column_stack([blobs.x_px, blobs.y_px]))
    apart = tree.query(np.column_stack([x, y]))[0] > distance_px
    return x[apart], y[apart]
