"""*Reconstruct*: from a tilt series to a volume; all slices advance together, slabs where memory is short."""

from __future__ import annotations

import ctypes.util
import os
import tempfile
from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import psutil

from atomseg_app import places
from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.tomography.algorithms import reach
from atomseg_app.tomography.fbp import fbp_volume
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.parts import Course, limits_of, parts_of
from atomseg_app.tomography.parts import straightened as straightened
from atomseg_app.tomography.problems import BlockProblem
from atomseg_app.tomography.series_doubts import LEVELS_KEY, background_levels, badly_explained, displaced
from atomseg_app.tomography.views import views_along_y
from atomseg_app.tomography.warm_up import warm_up
from atomseg_app.tomography.warp import Warp

Floats = npt.NDArray[np.float32]
_ARRAYS = {"slice": 2.5, "neighbours": 8.0, "volume": 6.0, "tv": 3.5}
"""Sizes of the volume that a computation holds at once, by how far its algorithm looks; of one that goes in sweeps."""
_SHARE = 0.6  # of the memory that is free, for all of them
_MOST_BYTES = 3 << 30
"""More is not taken where slices are independent: large volumes then go slab by slab without need of more memory."""
_INVERTING = ("fbp", "fourier")


def reconstruct(series: TiltSeries, settings: Reconstruct, report: Report) -> Volume:
    """Volume (z, y, x) of grey levels per voxel from the used views of a series, shown while it forms.

    Previews: ``slice`` (z, x), and ``R-factor`` over the iterations: the sum of |measured - projected| over the sum of
    |measured|. Raises UserError for missing angles, views that say nothing, or fewer than two different angles.
    """
    warm_up(report)
    report.progress(0, "reading the views")
    geometry = geometry_of(series, settings.thickness_px, settings.width_px)
    check_angles(geometry)
    check_views(series, report)
    levels = background_levels(series, settings.background, report)
    if doubt := displaced(series):
        report.note(doubt)
    course = Course(settings, geometry, report, chosen_device(settings, report))
    volume = new_volume(geometry.volume_zyx)
    slabs = slabs_of(geometry, settings)
    if len(slabs) > 1:
        report.note(f"{_size(geometry)} voxels were computed in {len(slabs)} slabs of slices, one after another.")
    for number, slab in enumerate(slabs):
        views = views_along_y(series, report if number == 0 else None, slab)
        if levels is not None:
            views -= levels[:, None, None].astype(np.float32)
        part = replace(
            geometry,
            detector_yx=(views.shape[1], geometry.detector_yx[1]),
            volume_zyx=(geometry.volume_zyx[0], views.shape[1], geometry.volume_zyx[2]),
        )
        if settings.algorithm in _INVERTING and part.is_single_axis and Warp.is_needed(part):
            views, part = straightened(views, part)
        if settings.algorithm == "fbp" and part.is_single_axis:
            _invert(views, part, settings, volume[:, slab], report.part(number / len(slabs), (number + 1) / len(slabs)))
            continue
        parts = parts_of(views, part, settings, course, slab.start)
        del views
        course.run(parts, number, len(slabs))
        parts.put(volume[:, slab])
        if course.stopped and number + 1 < len(slabs):
            report.note(f"Stopped; slices from {slabs[number + 1].start} on were not reconstructed and are 0.")
            break
    metadata = {**_facts(series), **course.facts()}
    if levels is not None:
        metadata[LEVELS_KEY] = [round(float(level), 6) for level in levels]
    if doubt := badly_explained(series, metadata, levels):
        report.note(doubt)
    return Volume(volume, voxel_size_nm(series), Source(series.source.path), metadata, series.history)


def _invert(views: Floats, geometry: Geometry, settings: Reconstruct, volume: Floats, report: Report) -> None:
    """Filtered back projection of a slab."""
    projector = BlockProjector(geometry)
    problem = BlockProblem(projector, projector.every_view, limits_of(geometry, settings))
    fbp_volume(views, problem, settings.filter, volume, report)


def chosen_device(settings: Reconstruct, report: Report) -> str:
    """``cuda`` where it is asked for, or is there and nothing else is asked for; else ``cpu``. Raises UserError.

    torch, which knows, is only loaded where there is a driver or a GPU was asked for.
    """
    if settings.device == "cpu" or (settings.device == "auto" and not _has_driver()):
        return "cpu"
    from atomseg_app import devices

    return "cuda" if devices.choose(settings.device, report).type == "cuda" else "cpu"


@cache
def _has_driver() -> bool:
    """Whether a CUDA driver is installed; looking takes a moment."""
    return ctypes.util.find_library("nvcuda" if os.name == "nt" else "cuda") is not None


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


def check_views(series: TiltSeries, report: Report) -> None:
    """Raise UserError for views that hold one value throughout; only one view is in memory at a time."""
    constant = []
    for number, view in enumerate(series.used):
        report.progress(0, f"looking at view {number + 1}")
        image = series.values[view]
        if np.min(image) == np.max(image):
            constant.append(int(view))
    if len(constant) == len(series.used):
        raise UserError(f"All views of {series.source.name} are constant; there is nothing to reconstruct.")
    if constant:
        names = ", ".join(str(view) for view in constant[:5]) + (" ..." if len(constant) > 5 else "")
        raise UserError(f"Views that hold a single value throughout: {names} (counted from 0); exclude them.")


def slabs_of(geometry: Geometry, settings: Reconstruct) -> list[slice]:
    """Ranges of slices that fit in memory at once; all of them where views mix slices."""
    slices = geometry.volume_zyx[1]
    mixed = not geometry.is_single_axis or (Warp.is_needed(geometry) and settings.algorithm not in _INVERTING)
    name = settings.algorithm
    arrays = _ARRAYS["volume" if mixed else name if name in _ARRAYS else reach(name)]
    one = 4 * arrays * geometry.volume_zyx[0] * geometry.volume_zyx[2] + 8 * geometry.views * geometry.detector_yx[1]
    room = _SHARE * psutil.virtual_memory().available
    fits = int((min(room, _MOST_BYTES) if not mixed and reach(settings.algorithm) == "slice" else room) / one)
    if mixed or fits >= slices:
        return [slice(0, slices)]
    step = max(32, fits // 32 * 32)
    return [slice(start, min(start + step, slices)) for start in range(0, slices, step)]


def new_volume(shape: tuple[int, int, int]) -> Floats:
    """Array for a volume: in memory, or in a file that goes with the array where it would take half of what is free."""
    if 4 * np.prod(shape, dtype=np.int64) < psutil.virtual_memory().available // 2:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile(dir=places.cache_folder()) as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


def voxel_size_nm(series: TiltSeries) -> tuple[float | None, ...]:
    """Voxel size (z, y, x): that of pixels across the axis along z, too."""
    y, x = series.pixel_size_nm if series.tilt_axis == "y" else series.pixel_size_nm[::-1]
    return x, y, x


def _size(geometry: Geometry) -> str:
    return " x ".join(str(size) for size in geometry.volume_zyx)


def _facts(series: TiltSeries) -> dict[str, object]:
    """Metadata that a volume keeps of its series."""
    return {key: series.metadata[key] for key in ("kV", "detector") if key in series.metadata}
