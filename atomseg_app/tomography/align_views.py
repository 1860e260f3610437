"""Views as the steps of an alignment work on them: binned, without background, bad ones known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.alignment import Alignment
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

_BORDER = 0.04  # of the width: the strips at both ends across the axis that show the background
_CONTAINED = 0.15  # of the bright level: how far both strips of a view may differ if the sample is inside
_PLAIN = 0.3  # of the contrast of the whole view: how much detail strips may show then
_BLOCK_ROWS = 5
_WORKING_PX = 512  # longest side that alignment works on; 0.1 px of the series is then still a quarter of a pixel


@dataclass(frozen=True, eq=False)
class AlignViews:
    """Views (view, y, x) float32, tilt axis along y, background near 0; lengths in pixels binned ``factor`` times.

    Pixels are square: where those of the series are not, views are resampled along y to ``aspect`` times as many.
    ``usable`` says which views can be aligned, ``contained`` in which the sample does not reach the ends across the
    axis. ``angles_deg`` (view, 1 or 3) are tilt angles, or Euler triples. ``offset_xy`` is where the centre of a binned
    view lies from the centre of the whole one, in whole pixels.
    """

    values: npt.NDArray[np.float32]
    angles_deg: Floats
    usable: npt.NDArray[np.bool_]
    contained: npt.NDArray[np.bool_]
    factor: int = 1
    offset_xy: tuple[float, float] = (0.0, 0.0)
    aspect: float = 1.0

    @property
    def tilt_deg(self) -> Floats:
        """Tilt angle of each view; the second of Euler triples."""
        return np.asarray(self.angles_deg[:, self.angles_deg.shape[1] // 2])

    @property
    def single_axis(self) -> bool:
        """Whether all views were tilted round y."""
        return bool(self.angles_deg.shape[1] == 1)

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Views that can be aligned, in the order of the series."""
        return np.flatnonzero(self.usable)

    def binned(self, factor: int) -> AlignViews:
        """The same views, ``factor`` times smaller; the middle is kept where the size is no multiple."""
        if factor == 1:
            return self
        values = np.stack([bin_view(view, factor) for view in self.values])
        own = [bin_offset(size, factor) * self.factor for size in self.values.shape[:0:-1]]
        offset = (self.offset_xy[0] + own[0], self.offset_xy[1] + own[1] / self.aspect)
        return replace(self, values=values, factor=self.factor * factor, offset_xy=offset)

    def to_binned(self, alignment: Alignment) -> Alignment:
        """Alignment of the series in binned pixels."""
        (ox, oy), along = self.offset_xy, self.factor / self.aspect
        return replace(
            alignment,
            shift_x_px=tuple((x - ox) / self.factor for x in alignment.shift_x_px),
            shift_y_px=tuple((y - oy) / along for y in alignment.shift_y_px),
            axis_offset_px=alignment.axis_offset_px / self.factor,
        )

    def from_binned(self, alignment: Alignment) -> Alignment:
        """Inverse of :meth:`to_binned`."""
        (ox, oy), along = self.offset_xy, self.factor / self.aspect
        return replace(
            alignment,
            shift_x_px=tuple(x * self.factor + ox for x in alignment.shift_x_px),
            shift_y_px=tuple(y * along + oy for y in alignment.shift_y_px),
            axis_offset_px=alignment.axis_offset_px * self.factor,
        )


def bin_view(view: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.float32]:
    """Mean of ``factor`` x ``factor`` pixels of the middle of a view (y, x)."""
    height, width = (size // factor for size in view.shape)
    top, left = ((size - kept * factor) // 2 for size, kept in zip(view.shape, (height, width), strict=True))
    middle = view[top : top + height * factor, left : left + width * factor]
    return np.asarray(middle.reshape(height, factor, width, factor).mean(axis=(1, 3), dtype=np.float32))


def with_square_pixels(view: npt.NDArray[np.float32], aspect: float) -> npt.NDArray[np.float32]:
    """View (y, x) of pixels ``aspect`` times as high as wide, in ``aspect`` times as many rows, middle kept."""
    if aspect == 1:
        return view
    height, width = view.shape
    rows = max(1, round(height * aspect))
    smooth = ndimage.gaussian_filter(view, (max(0.0, 1 / aspect - 1) / 2, 0), mode="nearest")
    first = (height - 1) / 2 - (rows - 1) / 2 / aspect
    squared = ndimage.affine_transform(
        smooth, [1 / aspect, 1], [first, 0], (rows, width), order=1, mode="nearest"
    )  # fmt: skip
    return np.asarray(squared, np.float32)


def bin_offset(size: int, factor: int) -> float:
    """Centre of the binned axis from the centre of the whole one, in whole pixels: 0 or -0.5."""
    left_over = size % factor
    return left_over // 2 - left_over / 2


def align_views(
    values: npt.NDArray[np.generic],
    angles_deg: Floats,
    excluded: tuple[int, ...],
    report: Report,
    aspect: float = 1.0,
) -> AlignViews:
    """Prepare the views (view, y, x), tilt axis along y, of a series; notes what cannot be aligned.

    ``angles_deg`` is (view,), or (view, 3) for Euler triples; ``aspect`` the height of a pixel over its width.

    Raises UserError for unknown angles, for fewer than three views that show something, and for tiny images.
    """
    views, height, width = values.shape
    if views < 3:
        raise UserError(f"The series has {views} view{'s'[: views != 1]}; an alignment needs at least 3.")
    if min(height, width) < 16:
        raise UserError(f"The views are {height} x {width} pixels; an alignment needs at least 16 on each side.")
    angles = np.asarray(angles_deg, float).reshape(views, -1)
    unknown = np.flatnonzero(~np.isfinite(angles).all(axis=1))
    if len(unknown):
        raise UserError(f"View {unknown[0]} has no tilt angle; give the series its angles before aligning it.")
    factor = 1
    while max(height, width) // factor > _WORKING_PX:
        factor *= 2
    rows = max(1, round(height // factor * aspect))
    kept = np.empty((views, rows, width // factor), np.float32)
    usable, contained = np.ones(views, bool), np.zeros(views, bool)
    masked = 0
    for index in range(views):
        report.check()
        view = np.asarray(values[index], np.float32)
        known = np.isfinite(view)
        lost = view.size - int(known.sum())
        masked += lost if index not in excluded else 0
        if lost:
            view = np.where(known, view, np.median(view[known]) if known.any() else 0).astype(np.float32)
        view = with_square_pixels(bin_view(view, factor), aspect)
        kept[index], contained[index] = _without_background(view)
        spread = float(np.subtract(*np.percentile(view, (99.5, 0.5))))
        if (
            index in excluded
            or lost > view.size * factor**2 / 2
            or spread <= 1e-6 * max(1e-30, float(np.abs(view).max()))
        ):
            usable[index] = False
    if masked:
        report.note(f"{masked} pixels are no numbers; the median of their view stands for them while aligning.")
    if usable.sum() < 3:
        raise UserError(f"Only {usable.sum()} of the {views} views show something; an alignment needs at least 3.")
    dark = [index for index in np.flatnonzero(~usable) if index not in excluded]
    if dark:
        report.note(
            f"Views that show nothing ({', '.join(map(str, dark))}) are put between their neighbours; exclude them."
        )
    offset = (bin_offset(width, factor), bin_offset(height, factor))
    return AlignViews(kept, angles, usable, contained, factor, offset, aspect)


def _without_background(view: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], bool]:
    """View less the level of the darker of the strips at both ends across the axis; whether the sample lies inside.

    It does if both strips are of one level and show no detail: a film shows the same throughout.
    """
    strip = max(2, round(_BORDER * view.shape[1]))
    first, last = view[:, :strip], view[:, -strip:]
    low, high = sorted((float(np.median(first)), float(np.median(last))))
    bright = float(np.percentile(view, 99)) - low
    plain = max(_detail(first, strip, 2.0), _detail(last, strip, 2.0)) <= _PLAIN**2 * _detail(view, strip, 0.0)
    return view - np.float32(low), high - low <= _CONTAINED * bright and plain


def _detail(part: npt.NDArray[np.float32], columns: int, doubt: float) -> float:
    """Variance of the means of blocks of a part of a view (y, x), less that of noise and ``doubt`` of its deviations.

    Noise is what neighbours along y differ by.
    """
    rows, count = len(part) // _BLOCK_ROWS, part.shape[1] // columns
    whole = part[: rows * _BLOCK_ROWS, : count * columns].astype(np.float64)
    means = whole.reshape(rows, _BLOCK_ROWS, count, columns).mean(axis=(1, 3))
    noise = float(np.mean(np.diff(whole, axis=0) ** 2)) / (2 * _BLOCK_ROWS * columns)
    return max(0.0, float(means.var()) - noise * (1 + doubt * float(np.sqrt(2 / means.size))))


def between_neighbours(values: Floats, order_deg: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Values (view, ...) in which those of views that are not usable are interpolated over the tilt angle."""
    if usable.all():
        return values
    order = np.argsort(order_deg[usable], kind="stable")
    known = order_deg[usable][order]
    filled = values.copy()
    columns = filled.reshape(len(values), -1)
    for column in columns.T:
        column[~usable] = np.interp(order_deg[~usable], known, column[usable][order])
    return filled
