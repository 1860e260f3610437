"""Preparing a tilt series, view by view: crop, references, stray pixels, binning, background, intensity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, Image, TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.io.mapped import fill
from atomseg_app.operations import Report
from atomseg_app.tomography.axis_direction import axis_doubt
from atomseg_app.tomography.background import background
from atomseg_app.tomography.framing import Region, binned, crop_region, framed_alignment
from atomseg_app.tomography.operations import PrepareTilts
from atomseg_app.tomography.stray_pixels import persistent_pixels, stray_pixels
from atomseg_app.tomography.tilts import parse_views

View = npt.NDArray[np.float32]
_VIEWS_FOR_HOT_PIXELS = 15
_NO_TRANSMISSION = 1e-4
"""The least share of the beam that counts as measured; less is noise whose logarithm means nothing."""


def prepare(series: TiltSeries, parameters: PrepareTilts, report: Report) -> TiltSeries:
    """Series ready for alignment; images stay as they are stored where nothing but cropping is asked for.

    Pixel size, alignment and excluded views follow. Raises UserError for regions, references and views that do not
    fit, and Cancelled.
    """
    shape = (int(series.shape[1]), int(series.shape[2]))
    if parameters.tilt_axis != "keep":
        series = replace(series, tilt_axis=parameters.tilt_axis)
    if parameters.exclude:
        gone = set(series.excluded) | set(parse_views(parameters.exclude, len(series.values)))
        series = replace(series, excluded=tuple(sorted(gone)))
    if not len(series.used):
        raise UserError("All views are excluded; include some again.")
    region = crop_region(shape, parameters.region_px, parameters.binning)
    alignment = framed_alignment(series, region, parameters.binning)
    _tell_axis(series, report)
    if parameters.binning > 1:
        report.note(
            f"Binned images keep their grey level, so a volume of them is {parameters.binning} times as bright."
        )
    left, top, right, bottom = region
    values: Array = series.values[:, top:bottom, left:right]
    if _changes_values(parameters):
        values = _Preparation(series, parameters, region, report).values()
    sizes = tuple(None if size is None else size * parameters.binning for size in series.pixel_size_nm)
    return replace(series, values=values, pixel_size_nm=sizes, alignment=alignment)


def _changes_values(parameters: PrepareTilts) -> bool:
    """Whether pixels are computed, not only chosen."""
    return bool(
        parameters.stray_pixels or parameters.dark or parameters.gain or parameters.absorption
        or parameters.binning > 1 or parameters.background != "none" or parameters.normalise != "none"
    )  # fmt: skip


def _tell_axis(series: TiltSeries, report: Report) -> None:
    """A note where the images speak for another direction of the axis; it is the user who decides."""
    doubt = axis_doubt(series)
    if doubt:
        report.note(doubt)


class _Preparation:
    """The steps on pixels, one view after another."""

    def __init__(self, series: TiltSeries, parameters: PrepareTilts, region: Region, report: Report) -> None:
        self._series, self._parameters, self._region, self._report = series, parameters, region, report
        frame = (int(series.shape[1]), int(series.shape[2]))
        self._dark = _reference(parameters.dark, frame, region, report)
        self._gain = _reference(parameters.gain, frame, region, report)
        if self._gain is not None:
            self._gain = _normalised_gain(self._gain, report)
        self._stray, self._views_with_stray, self._opaque = 0, 0, 0

    def values(self) -> Array:
        """All views (view, y, x), float32, in memory or in a mapped temporary file."""
        left, top, right, bottom = self._region
        bins = self._parameters.binning
        shape = (len(self._series.values), (bottom - top) // bins, (right - left) // bins)
        totals = np.ones(len(self._series.values))
        values = fill(shape, np.dtype(np.float32), self._pieces(totals), self._report.part(0, 0.95), "preparing")
        if self._parameters.normalise != "none":
            self._scale(values, totals)
        self._tell()
        return values

    def _pieces(self, totals: npt.NDArray[np.float64]) -> Iterator[tuple[int, View]]:
        """Views with their place; ``totals`` takes what each is to be scaled by the inverse of."""
        hot = self._hot_pixels() if self._parameters.stray_pixels else None
        for index in range(len(self._series.values)):
            view = self._raw(index)
            if self._parameters.stray_pixels:
                view = self._clean(view, hot)
            view = binned(view, self._parameters.binning)
            view, level = self._levelled(view)
            totals[index] = level if self._parameters.normalise == "background" else float(view.sum(dtype=np.float64))
            yield index, view

    def _raw(self, index: int) -> View:
        """A view, cropped, with dark and gain references applied."""
        left, top, right, bottom = self._region
        view = np.array(self._series.values[index, top:bottom, left:right], np.float32)
        if self._dark is not None:
            view -= self._dark
        if self._gain is not None:
            view /= self._gain
        return view

    def _hot_pixels(self) -> npt.NDArray[np.bool_] | None:
        """Pixels that stray in most of some views spread over the series."""
        chosen = np.unique(np.linspace(0, len(self._series.used) - 1, _VIEWS_FOR_HOT_PIXELS).astype(int))
        views = (self._raw(int(self._series.used[place])) for place in chosen)
        hot = persistent_pixels(views, self._parameters.stray_sigmas)
        if hot is not None and hot.any():
            self._report.note(f"{int(hot.sum())} hot or dead pixels were replaced by the median around them.")
        return hot

    def _clean(self, view: View, hot: npt.NDArray[np.bool_] | None) -> View:
        mask, middle = stray_pixels(view, self._parameters.stray_sigmas)
        count = int(mask.sum())
        self._stray, self._views_with_stray = self._stray + count, self._views_with_stray + (count > 0)
        return np.where(mask if hot is None else mask | hot, middle, view)

    def _levelled(self, view: View) -> tuple[View, float]:
        """View without its background, or as absorption, and the mean level of that background."""
        parameters = self._parameters
        if parameters.background == "none" and not parameters.absorption and parameters.normalise != "background":
            return view, 1.0
        shape = "level" if parameters.background == "none" else parameters.background
        ground = background(view, shape, bright=parameters.absorption)
        level = float(ground.mean(dtype=np.float64))
        if parameters.absorption:
            if ground.min() <= 0:
                raise UserError("The background of a view is not above 0, so its logarithm cannot be taken; "
                                "absorption is for bright-field images.")  # fmt: skip
            share = view / ground
            self._opaque += int((share < _NO_TRANSMISSION).sum())
            return -np.log(np.maximum(share, np.float32(_NO_TRANSMISSION))), level
        return (view if parameters.background == "none" else view - ground), level

    def _scale(self, values: Array, totals: npt.NDArray[np.float64]) -> None:
        """Scale each view so that its total, or the level of its background, is the median of all used ones."""
        what = "background" if self._parameters.normalise == "background" else "total"
        wrong = np.flatnonzero(~(totals > 0) | ~np.isfinite(totals))
        if len(wrong):
            raise UserError(
                f"View {wrong[0]} has a {what} of {totals[wrong[0]]:.4g}, to which it cannot be normalised; "
                "exclude it, or leave the intensity as it is."
            )
        factors = np.median(totals[self._series.used]) / totals
        values.flags.writeable = True
        for index, factor in enumerate(factors):
            self._report.progress(0.95 + 0.05 * index / len(factors), "scaling")
            values[index] *= np.float32(factor)
        values.flags.writeable = False
        spread = 100 * float(np.std(totals[self._series.used]) / np.mean(totals[self._series.used]))
        self._report.log(f"The {what} of the views varied by {spread:.3g} %; it is the same in all now.")

    def _tell(self) -> None:
        """Notes of what was replaced."""
        if self._stray:
            self._report.note(
                f"{self._stray} stray pixels (X-rays) in {self._views_with_stray} of {len(self._series.values)} views "
                "were replaced by the median around them."
            )
        if self._opaque:
            self._report.note(f"{self._opaque} pixels let almost nothing through; their absorption is cut at "
                              f"{-math.log(_NO_TRANSMISSION):.3g}.")  # fmt: skip


def _reference(path: str, shape: tuple[int, int], region: Region, report: Report) -> View | None:
    """A reference image, cropped as the views are; None where none is named. Raises UserError where it does not fit."""
    if not path:
        return None
    from atomseg_app.io import files

    item: Any = files.read(path, report=report)
    if not isinstance(item, Image) or item.shape != shape:
        size = " x ".join(map(str, item.shape[::-1]))
        raise UserError(f"{Path(path).name} of {size} pixels is no reference for images of {shape[1]} x {shape[0]}.")
    left, top, right, bottom = region
    return np.array(item.values[top:bottom, left:right], np.float32)


def _normalised_gain(gain: View, report: Report) -> View:
    """Gain with a median of 1; pixels of no gain become ones that are no number, which are then replaced."""
    good = np.isfinite(gain) & (gain > 0)
    if not good.any():
        raise UserError("The gain reference has no pixel above 0.")
    if not good.all():
        report.note(f"{int((~good).sum())} pixels of the gain reference are not above 0; they count as dead.")
    return np.where(good, gain / np.float32(np.median(gain[good])), np.float32(np.nan))
