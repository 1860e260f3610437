"""What a file holds, described before anything is loaded: the one thing that every reader returns.

A reader turns a path into datasets. Each has a :class:`DatasetInfo` and a way to load its array; what axes with units
say about an array (an image, a tilt series, a spectrum...) is decided here, once for all formats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.units import degrees_per, is_energy, length_nm
from atomseg_app.operations import Report

_FEW = 3
"""So many different angles may lie within 3.2 degrees without a doubt about the unit."""
READABLE_KINDS = ("image", "image-series", "tilt-series", "volume")


class Unreadable(Exception):  # noqa: N818 - a reason, made into a FileError with the file's name at the border
    """Why a file cannot be read, as the end of a sentence: ``it is cut short: ...``."""


@dataclass(frozen=True)
class Axis:
    """One array axis: number of pixels, step and start in ``unit``, and what the file calls it."""

    size: int
    scale: float | None = None
    unit: str = ""
    offset: float = 0.0
    name: str = ""

    @property
    def size_nm(self) -> float | None:
        """Step in nm, None if it is no known length."""
        return length_nm(self.scale, self.unit)


@dataclass(frozen=True)
class DatasetInfo:
    """One array of a file. ``refusal`` is empty where it can be opened, else it says why it is not an image.

    ``kind`` is that of the data object (image, image-series, tilt-series, volume) or spectrum, spectrum-image,
    diffraction-4d, complex, table, unknown. ``pixel_size_nm`` has one entry a spatial axis, ``tilt_deg`` one a view,
    ``euler_deg`` three. ``notes`` are for whoever opens it: files beside it that do not fit.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    pixel_size_nm: tuple[float | None, ...] = ()
    tilt_deg: tuple[float, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    refusal: str = ""
    euler_deg: tuple[tuple[float, float, float], ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A described array and how to load it: memory-mapped where the file allows, ``shape`` as described."""

    info: DatasetInfo
    load: Callable[[Report], Array]


def dataset(
    name: str,
    axes: Sequence[Axis],
    dtype: np.dtype[Any],
    load: Callable[[Report], Array],
    *,
    tilt_deg: Sequence[float] | None = None,
    metadata: Mapping[str, Any] | None = None,
    image_axes: int = 2,
    refusal: str = "",
    volume: bool = False,
    euler_deg: Sequence[tuple[float, float, float]] | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Dataset of an array with these axes, slowest first.

    ``image_axes`` is how many of the last axes are the signal: 2, 1 for spectra, 0 for a table of numbers. A leading
    axis of length 1 is dropped. Angles that differ make a series of images a tilt series; one angle serves all views.
    Three axes are a ``volume`` where the file says so, or where the first of them has a length. With ``euler_deg``
    (views, 3) the second angle is the tilt.
    """
    axes = list(axes)
    if len(axes) == 3 and axes[0].size == 1 and not volume and not is_energy(axes[0].unit):
        axes = axes[1:]
    shape = tuple(axis.size for axis in axes)
    euler = euler_deg if euler_deg is not None and len(axes) == 3 and len(euler_deg) == shape[0] else None
    angles = _angles(axes, [second for _, second, _ in euler] if euler is not None else tilt_deg)
    kind, spatial = ("volume", axes) if volume and len(axes) == 3 else _kind(axes, image_axes, angles)
    if dtype.kind == "c":
        kind = "complex"
    info = DatasetInfo(
        name,
        kind,
        shape,
        dtype.name,
        tuple(axis.size_nm for axis in spatial),
        _per_view(kind, shape, angles),
        dict(metadata or {}),
        refusal or _refusal(kind, shape, dtype),
        tuple(euler) if euler is not None and kind == "tilt-series" else None,
        (*notes, *_doubts(kind, shape, angles if euler is None else None)),
    )
    return Dataset(info, lambda report: load(report).reshape(shape))


def _angles(axes: Sequence[Axis], given: Sequence[float] | None) -> tuple[float, ...] | None:
    """Tilt angles: those given, else those of a first axis in degrees."""
    if given is not None and len(given) and all(math.isfinite(angle) for angle in given):
        return tuple(float(angle) + 0.0 for angle in given)  # no -0
    first = axes[0] if axes else Axis(0)
    factor = degrees_per(first.unit)
    if len(axes) != 3 or factor is None or first.scale is None or first.size > 100_000:
        return None
    return tuple(factor * (first.offset + first.scale * index) for index in range(first.size))


def _doubts(kind: str, shape: tuple[int, ...], angles: tuple[float, ...] | None) -> tuple[str, ...]:
    """A note where a file has an angle for each view, but the same for all, or angles that may be radians."""
    if angles is None or kind not in ("image-series", "tilt-series") or len(angles) != shape[0] or shape[0] < 2:
        return ()
    if kind == "image-series":
        return (
            f"All {shape[0]} angles of it are {angles[0]:g} degrees, so it is a series of images; give its angles.",
        )
    if len(set(angles)) <= _FEW or max(map(abs, angles)) > math.pi + 0.01:
        return ()
    return (
        f"Its angles run from {min(angles):g} to {max(angles):g} degrees; if they are radians, give them with 'rad' "
        "in a first line (--angles FILE).",
    )


def _kind(axes: Sequence[Axis], image_axes: int, angles: tuple[float, ...] | None) -> tuple[str, Sequence[Axis]]:
    """Kind and spatial axes of an array."""
    if image_axes == 0:
        return "table", ()
    energy = [axis for axis in axes if is_energy(axis.unit)] or list(axes[-1:] if image_axes == 1 else ())
    if energy:
        others = [axis for axis in axes if not any(axis is each for each in energy)]
        return ("spectrum-image" if any(axis.size > 1 for axis in others) else "spectrum"), others
    if len(axes) < 2:
        return "spectrum", ()
    if len(axes) == 2:
        return "image", axes
    if len(axes) > 3:
        return "diffraction-4d", axes[:2]
    if angles is not None and len(angles) == axes[0].size:
        return ("tilt-series" if max(angles) - min(angles) > 1e-3 else "image-series"), axes[1:]
    return ("image-series", axes[1:]) if axes[0].size_nm is None else ("volume", axes)


def _per_view(kind: str, shape: tuple[int, ...], angles: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """One angle a view; a single angle of a series holds for all of it, other mismatches are no angles."""
    if angles is None or kind == "volume":
        return None
    views = shape[0] if kind in ("image-series", "tilt-series") else 1
    return angles if len(angles) == views else angles * views if len(angles) == 1 and views <= 100_000 else None


def _refusal(kind: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Why an array of this kind is not opened; empty if it is."""
    size = " x ".join(map(str, shape))
    if 0 in shape:
        return f"it is empty ({size} pixels)"
    if kind == "table":
        return f"it is a table of numbers ({size}), not an image"
    if kind == "spectrum":
        return f"it is a spectrum ({size}), not an image"
    if kind == "spectrum-image":
        return f"it is a spectrum image ({size}), not an image; save one energy slice or its sum as an image"
    if kind == "diffraction-4d":
        return (
            f"it has {len(shape)} axes ({size}), as 4D-STEM data and hyperstacks have; save one image or series of it"
        )
    if kind == "complex":
        return f"its values ({size}) are complex numbers, such as a Fourier transform; save its amplitude as an image"
    if dtype.kind not in "iufb" or dtype.itemsize > 8:
        return f"its values are of type {dtype}, which is no grey level"
    return ""
