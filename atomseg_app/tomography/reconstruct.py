"""*Reconstruct*: from a tilt series to a volume; all slices advance together, slabs where memory is short."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.blocks import Block, BlockProjector
from atomseg_app.tomography.fbp import fbp
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.iterates import Algorithm, Problem
from atomseg_app.tomography.kernels import PAD
from atomseg_app.tomography.mlem import mlem
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.sirt import sirt
from atomseg_app.tomography.views import views_along_y

Floats = npt.NDArray[np.float32]
_PREVIEW_S = 0.3


def reconstruct(series: TiltSeries, settings: Reconstruct, report: Report) -> Volume:
    """Volume (z, y, x) of grey levels per voxel from the used views of a series, shown while it forms.

    Previews: ``slice`` (z, x), and ``R-factor`` over the iterations: the sum of |measured - projected| over the sum of
    |measured|. Raises UserError for missing angles, views that say nothing, or fewer than two different angles.
    """
    report.progress(0, "reading the views")
    geometry = geometry_of(series, settings.thickness_px, settings.width_px)
    check_angles(geometry)
    views = views_along_y(series, report)
    check_views(views, series)
    values = _volume(views, geometry, settings, report)
    return Volume(values, voxel_size_nm(series), Source(series.source.path), _facts(series), series.history)


def check_angles(geometry: Geometry) -> None:
    """Raise UserError where the views cannot say anything of depth."""
    if geometry.euler_deg is not None:
        return
    different = len(np.unique(np.mod(np.asarray(geometry.tilt_deg), 180).round(3)))
    if different < 2:
        raise UserError(
            f"All {geometry.views} views in use are at {geometry.tilt_deg[0]:g} degrees; a volume needs views at "
            "different angles."
        )


def check_views(views: Floats, series: TiltSeries) -> None:
    """Raise UserError for views that hold one value throughout."""
    low, high = views.min(axis=(1, 2)), views.max(axis=(1, 2))
    constant = np.flatnonzero(low == high)
    if len(constant) == len(views):
        raise UserError(f"All views of {series.source.name} are constant; there is nothing to reconstruct.")
    if len(constant):
        names = ", ".join(str(series.used[view]) for view in constant[:5]) + (" ..." if len(constant) > 5 else "")
        raise UserError(f"{len(constant)} views hold a single value throughout (view {names}); exclude them.")


def voxel_size_nm(series: TiltSeries) -> tuple[float | None, ...]:
    """Voxel size (z, y, x): that of pixels across the axis along z, too."""
    y, x = series.pixel_size_nm if series.tilt_axis == "y" else series.pixel_size_nm[::-1]
    return x, y, x


def _facts(series: TiltSeries) -> dict[str, object]:
    """Metadata that a volume keeps of its series."""
    return {key: series.metadata[key] for key in ("kV", "detector") if key in series.metadata}


def _algorithm(settings: Reconstruct) -> Algorithm:
    if settings.algorithm == "fbp":
        return partial(fbp, name=settings.filter)
    return {"mlem": mlem, "sirt": sirt}[settings.algorithm]


def _volume(views: Floats, geometry: Geometry, settings: Reconstruct, report: Report) -> Floats:
    """Reconstruct all blocks, one iteration after another."""
    projector = BlockProjector(geometry)
    problem = Problem(
        projector,
        projector.every_view,
        relaxation=settings.relaxation,
        least=0.0 if settings.positivity else -np.inf,
    )
    iterations = 1 if settings.algorithm == "fbp" else settings.iterations
    algorithm = _algorithm(settings)
    starts = projector.starts
    images = [projector.image() for _ in starts]
    steps = [algorithm(problem, projector.take_views(views, start), image)
             for start, image in zip(starts, images, strict=True)]  # fmt: skip
    watch = _Watch(views, geometry, settings, report)
    for iteration in range(iterations):
        misfit = np.zeros(geometry.views, np.float64)
        for number, step in enumerate(steps):
            report.progress(
                (iteration + number / len(steps)) / iterations, f"iteration {iteration + 1} of {iterations}"
            )
            found = next(step)
            misfit += found.misfit
            watch.image(starts[number], found.image)
        watch.iteration(misfit)
        if report.stopping:
            report.note(f"Stopped after {iteration + 1} of {iterations} iterations.")
            break
    volume = np.empty(geometry.volume_zyx, np.float32)
    steps.clear()
    for start in starts:
        projector.put_volume(images.pop(0), volume, start)
    return volume


class _Watch:
    """Shows a slice and the R-factor while iterations go on."""

    def __init__(self, views: Floats, geometry: Geometry, settings: Reconstruct, report: Report) -> None:
        self._report = report
        slices = geometry.volume_zyx[1]
        wanted = slices // 2 if settings.preview_slice is None else settings.preview_slice
        self._slice = min(wanted, slices - 1)
        self._total = max(float(np.abs(views).sum(dtype=np.float64)), 1e-30)
        self._curve: list[float] = []
        self._shown = 0.0

    def image(self, start: int, block: Block) -> None:
        """Show the slice if it is in this block and was not shown a moment ago."""
        if start <= self._slice < start + block.shape[2] and time.monotonic() - self._shown > _PREVIEW_S:
            self._report.preview("slice", block[PAD:-PAD, PAD:-PAD, self._slice - start].copy())
            self._shown = time.monotonic()

    def iteration(self, misfit: npt.NDArray[np.float64]) -> None:
        """Add to the curve."""
        self._curve.append(float(misfit.sum()) / self._total)
        self._report.preview("R-factor", np.array(self._curve))
