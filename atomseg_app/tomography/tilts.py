"""Tilt series: their views as floats, and angles where the file gives none (a scheme, a list, a file)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atomseg_app.data import ImageSeries, TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Views = npt.NDArray[np.float32]
SAME_DEG = 1e-3
"""Angles closer than this are one angle."""
MOST_DEG = 360.0
_SHOWN = 3


def view(series: ImageSeries, index: int) -> Views:
    """One view (y, x) as 32-bit floats in C order; only this view is read from the disk."""
    return np.ascontiguousarray(series.values[index], np.float32)


def views(series: TiltSeries, indices: Sequence[int] | None = None) -> Iterator[Views]:
    """Views one after another as 32-bit floats (y, x): those of ``indices``, or all that are not excluded."""
    for index in series.used if indices is None else indices:
        yield view(series, int(index))


def start_step(views: int, start: float, step: float) -> tuple[float, ...]:
    """Evenly spaced angles in degrees, one a view. Raises UserError for a step of 0 or angles beyond a full turn."""
    if views > 1 and not abs(step) > SAME_DEG:
        raise UserError(f"A step of {step:g} degrees gives {views} views at one angle; give the step between views.")
    return _checked([start + step * index for index in range(views)], "the scheme")


def saxton(views: int, start: float, step: float) -> tuple[float, ...]:
    """Angles in degrees of Saxton's scheme, finer at high tilt; ``step`` is the increment at 0 degrees.

    From 0 outwards on both sides the angles follow a' = a + arcsin(sin(step) cos(a)) (Saxton, Baumeister and Hahn,
    Ultramicroscopy 13 (1984) 57). The first view is the angle of the scheme nearest to ``start``, the sign of ``step``
    the direction. Raises UserError where that is more than half a step away or the scheme ends at 90 degrees.
    """
    if not SAME_DEG < abs(step) < 90 or not abs(start) < 90:
        raise UserError(f"Saxton's scheme needs a start within 90 degrees and a step, not {start:g} and {step:g}.")
    side = [0.0]
    while len(side) <= views + 1 or side[-1] < abs(start):
        at = math.radians(side[-1])
        increment = math.degrees(math.asin(math.sin(math.radians(abs(step))) * math.cos(at)))
        if increment < SAME_DEG:
            break
        side.append(side[-1] + increment)
    scheme = np.array([-angle for angle in side[:0:-1]] + side) * math.copysign(1, step)
    first = int(np.argmin(np.abs(scheme - start)))
    if abs(scheme[first] - start) > abs(step) / 2 or first + views > len(scheme):
        ends = f"{scheme[0]:.4g} to {scheme[-1]:.4g}"
        raise UserError(f"Saxton's scheme with a step of {step:g} degrees has {views} views from {start:g} on only "
                        f"beyond its ends ({ends}).")  # fmt: skip
    return _checked(scheme[first : first + views].tolist(), "the scheme")


def with_angles(
    series: ImageSeries,
    angles: Sequence[float] | npt.NDArray[np.floating],
    report: Report | None = None,
    name: str = "the list",
) -> TiltSeries:
    """Series with these angles in degrees, one a view; ``name`` is where they come from, for messages.

    ``angles`` (views, 3) are Euler angles, of which the second becomes the tilt. What a tilt series knows beside its
    angles is kept. Raises UserError for another count (both are told), for angles that are no numbers or more than a
    full turn, and where all are the same; notes angles that come twice or go up and down.
    """
    table = np.asarray(angles, np.float64)
    count = len(series.values)
    if len(table) != count:
        title = f"the series {series.source.name}" if series.source.path else "the series"
        raise UserError(
            f"{_sentence(name)} has {len(table)} angles but {title} has {count} images; it belongs to another series, "
            "or views are missing."
        )
    triples = table.ndim == 2
    if table.ndim > 2 or (triples and table.shape[1] != 3):
        raise UserError(f"{_sentence(name)} has {table.shape[-1]} angles a view; give one, or three Euler angles.")
    tilts = _checked(table[:, 1].tolist() if triples else table.tolist(), name)
    euler = tuple((float(a), float(b), float(c)) for a, b, c in table) if triples else None
    if count > 1 and euler is None and max(tilts) - min(tilts) < SAME_DEG:
        raise UserError(f"All {count} angles of {name} are {tilts[0]:g} degrees; a tilt series needs different ones.")
    if report is not None and euler is None:
        for text in doubts(tilts, name):
            report.note(text)
    metadata = {key: value for key, value in series.metadata.items() if key != "tilt_deg"} | {"tilt_source": name}
    if isinstance(series, TiltSeries):
        return replace(series, metadata=metadata, tilt_deg=tilts, euler_deg=euler)
    return TiltSeries(
        series.values, series.pixel_size_nm, series.source, metadata, series.history, tilt_deg=tilts, euler_deg=euler
    )


def parse_views(text: str, views: int) -> tuple[int, ...]:
    """Indices of views, counted from 0, of a text such as ``3,10-12``. Raises UserError naming what is none."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"{part or text!r} is no view; name views as 3,10-12, counted from 0.")
        chosen = range(int(first), int(last or first) + 1)
        if not chosen or chosen[-1] >= views:
            raise UserError(f"{part} is no view of a series of {views}; the last is {views - 1}.")
        found.update(chosen)
    return tuple(sorted(found))


def doubts(tilts: Sequence[float], name: str = "the list") -> list[str]:
    """What is odd about angles in degrees that can be used: some come twice, or they go up and down."""
    found = []
    steps = np.diff(np.asarray(tilts, np.float64))
    order = np.argsort(tilts, kind="stable")
    twice = [(int(a), int(b)) for a, b in pairwise(order) if abs(tilts[a] - tilts[b]) < SAME_DEG]
    if twice:
        shown = ", ".join(f"{tilts[a]:g} (views {a} and {b})" for a, b in twice[:_SHOWN])
        more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
        found.append(f"Angles of {name} come twice: {shown}{more}; all views are kept.")
    if len(steps) > 1 and (steps > SAME_DEG).any() and (steps < -SAME_DEG).any():
        first = steps[np.abs(steps) > SAME_DEG][0]
        turn = next(i for i, step in enumerate(steps) if step * first < 0 and abs(step) > SAME_DEG)
        found.append(
            f"The angles of {name} go up and down (view {turn + 1} at {tilts[turn + 1]:g} degrees follows "
            f"{tilts[turn]:g}); check that they belong to this series."
        )
    return found


def _sentence(name: str) -> str:
    """A name as the beginning of a sentence; names of files as they are."""
    return name.replace("the ", "The ", 1) if name.startswith("the ") else name


def _checked(angles: Sequence[float], name: str) -> tuple[float, ...]:
    """Angles that are finite and no more than a full turn."""
    for index, angle in enumerate(angles):
        if not math.isfinite(angle) or abs(angle) > MOST_DEG:
            raise UserError(f"The angle of view {index} in {name} is {angle:g}, which is no tilt angle in degrees.")
    return tuple(float(angle) + 0.0 for angle in angles)
