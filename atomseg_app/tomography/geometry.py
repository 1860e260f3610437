"""Where the rays of a tilt series run through a volume: the one description that every projector is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError

Floats = npt.NDArray[np.float64]

EQUAL = 1e-4
"""Sides of pixels that differ by less, relative, are equal but for rounding in files."""


@dataclass(frozen=True)
class Geometry:
    """Parallel beam: one tilt angle a view (or three Euler angles), detector (y, x), volume (z, y, x) in voxels.

    The tilt axis is y; a voxel at (x, z) from the volume's centre (N - 1) / 2 is seen at t = x cos(tilt) + z sin(tilt)
    from the detector's centre, moved by ``alignment`` (:class:`Alignment` is in the frame of these views, whose axis is
    y). Lengths are in pixels across the axis: ``pixel_aspect`` is the height of a pixel, ``voxel_zyx`` the size of a
    voxel, by default as long along y as pixels are and 1 otherwise. What a voxel holds, all the pixels that see it hold
    together. Raises UserError for counts that differ, angles that are no number, empty shapes, and impossible sizes.
    """

    tilt_deg: tuple[float, ...]
    detector_yx: tuple[int, int]
    volume_zyx: tuple[int, int, int]
    alignment: Alignment | None = None
    euler_deg: tuple[tuple[float, float, float], ...] | None = None
    pixel_aspect: float = 1.0
    voxel_zyx: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if not self.tilt_deg:
            raise UserError("There is no view to reconstruct from; include some again.")
        if min(*self.detector_yx, *self.volume_zyx) < 1:
            raise UserError(f"A detector of {self.detector_yx} and a volume of {self.volume_zyx} are empty.")
        if self.volume_zyx[1] != self.detector_yx[0]:
            raise UserError(
                f"The volume has {self.volume_zyx[1]} slices along the tilt axis, the detector {self.detector_yx[0]}."
            )
        sizes = (self.pixel_aspect, *self.voxel_size_zyx)
        if not (np.all(np.isfinite(sizes)) and min(sizes) > 0):
            raise UserError(f"Pixels and voxels cannot have sides of {sizes}, in pixels across the axis.")
        unknown = np.flatnonzero(~np.isfinite(self.tilt_deg))
        if len(unknown):
            raise UserError(
                f"View {unknown[0]} of {len(self.tilt_deg)} has no tilt angle; give one angle a view (--angles FILE)."
            )
        shifts = None if self.alignment is None else len(self.alignment.shift_x_px)
        triples = None if self.euler_deg is None else len(self.euler_deg)
        for what, count in (("an alignment", shifts), ("Euler angles", triples)):
            if count not in (None, len(self.tilt_deg)):
                raise UserError(f"There are {len(self.tilt_deg)} views, but {what} of {count}.")

    @property
    def views(self) -> int:
        """How many views there are."""
        return len(self.tilt_deg)

    @property
    def t_shift_px(self) -> Floats:
        """How far each view lies from ideal across the axis (views,): its shift and the offset of the axis."""
        if self.alignment is None:
            return np.zeros(self.views)
        return np.asarray(self.alignment.shift_x_px) + self.alignment.axis_offset_px

    @property
    def y_shift_px(self) -> Floats:
        """How far each view lies from ideal along the axis (views,)."""
        return np.zeros(self.views) if self.alignment is None else np.asarray(self.alignment.shift_y_px)

    @property
    def rotation_deg(self) -> Floats:
        """How far each view is turned in its plane, x towards y (views,)."""
        if self.alignment is None:
            return np.zeros(self.views)
        return np.asarray(self.alignment.rotation_deg) + self.alignment.axis_rotation_deg

    @property
    def voxel_size_zyx(self) -> tuple[float, float, float]:
        """Sides of a voxel in pixels across the axis."""
        return self.voxel_zyx or (1.0, self.pixel_aspect, 1.0)

    @property
    def is_single_axis(self) -> bool:
        """Whether all views were tilted round y, so that slices do not mix but by shifts along y and rotations.

        Slices whose voxels are no squares of a pixel's width are projected as views in any direction are.
        """
        return self.euler_deg is None and self.voxel_size_zyx == (1.0, self.pixel_aspect, 1.0)

    def of_views(self, views: npt.ArrayLike) -> Geometry:
        """The same with the views of these indices, in their order."""
        chosen = [int(view) for view in np.asarray(views)]
        return replace(
            self,
            tilt_deg=tuple(self.tilt_deg[view] for view in chosen),
            alignment=self.alignment and alignment_of_views(self.alignment, chosen),
            euler_deg=self.euler_deg and tuple(self.euler_deg[view] for view in chosen),
        )

    def with_alignment(self, alignment: Alignment | None) -> Geometry:
        """The same with another alignment."""
        return replace(self, alignment=alignment)


def alignment_of_views(alignment: Alignment, views: npt.ArrayLike) -> Alignment:
    """Alignment of the views of these indices alone."""
    chosen = [int(view) for view in np.asarray(views)]
    return replace(
        alignment,
        shift_x_px=tuple(alignment.shift_x_px[view] for view in chosen),
        shift_y_px=tuple(alignment.shift_y_px[view] for view in chosen),
        rotation_deg=tuple(alignment.rotation_deg[view] for view in chosen),
    )


def geometry_of(series: TiltSeries, thickness: int | None = None, width: int | None = None) -> Geometry:
    """Geometry of the used views of a series, as ``views_along_y`` gives them.

    ``thickness`` and ``width`` are voxels along the beam and across the axis, the width of the detector where None.
    Pixels whose size is unknown along a side count as square. Raises UserError where angles are missing.
    """
    _, rows, columns = series.values.shape
    slices, bins = (rows, columns) if series.tilt_axis == "y" else (columns, rows)
    used = series.used
    return Geometry(
        tuple(float(series.tilt_deg[view]) for view in used),
        (slices, bins),
        (thickness or bins, slices, width or bins),
        series.alignment and alignment_of_views(series.alignment, used),
        series.euler_deg and tuple(series.euler_deg[view] for view in used),
        pixel_aspect_of(series),
    )


def pixel_aspect_of(series: TiltSeries) -> float:
    """Size of pixels along the tilt axis over that across it; 1 where they are square or their size is unknown."""
    along, across = series.pixel_size_nm if series.tilt_axis == "y" else series.pixel_size_nm[::-1]
    if along is None or across is None or abs(along - across) <= EQUAL * max(along, across):
        return 1.0
    return along / across
