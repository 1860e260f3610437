"""OME-Zarr: volumes written as version 0.5 (Zarr 3) with coarser levels, versions 0.4 and 0.5 read.

After the specification of next-generation file formats (Moore et al., Histochem. Cell Biol. 160 (2023) 223;
ngff.openmicroscopy.org/0.5): ``multiscales`` names the axes with their units and gives each level a scale and the
place of its first voxel.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app import __version__
from atomseg_app.data import Array, Volume
from atomseg_app.io.atomic_write import atomic_folder
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.volume_parts import NUMBERS, stored_type
from atomseg_app.io.zarr_store import array_of, check_stored, loader
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import zarr

_CHUNK = (32, 128, 128)
_SMALLEST_LEVEL = 128
"""No coarser level is made of one that is no larger than this."""
_MAX_IMAGES = 100


def read_group(path: Path, root: zarr.Group) -> list[Dataset]:
    """The finest level of every image of a store. Raises Unreadable for a Zarr store of another kind."""
    attributes: dict[str, Any] = dict(root.attrs)
    nested = attributes.get("ome")
    images = (nested if isinstance(nested, dict) else attributes).get("multiscales")
    if not isinstance(images, list) or not images:
        raise Unreadable("it is a Zarr store of neither HyperSpy nor OME")
    return [_image(path, root, image, len(images)) for image in images[:_MAX_IMAGES]]


def _image(path: Path, root: zarr.Group, image: Any, count: int) -> Dataset:
    try:
        level = image["datasets"][0]
        where = str(level["path"])
        titles = [axis if isinstance(axis, dict) else {"name": axis} for axis in image["axes"]]
        scale = next(each["scale"] for each in level["coordinateTransformations"] if each["type"] == "scale")
    except (KeyError, IndexError, TypeError, StopIteration):
        raise Unreadable("its description of images (multiscales) is damaged") from None
    array = array_of(root, where)
    if array is None or not len(titles) == len(scale) == array.ndim:
        raise Unreadable(f"its array {where} is missing or has other axes than described")
    check_stored(path, array)
    axes = [
        Axis(size, _number(step), str(title.get("unit", "")), name=str(title.get("name", "")))
        for size, step, title in zip(array.shape, scale, titles, strict=True)
    ]
    kept = [axis for axis in axes if axis.name in "zyx" or axis.size > 1]
    load = loader(path, where)
    name = str(image.get("name", where)) if count > 1 else ""
    return dataset(
        name, kept, np.dtype(array.dtype), lambda report: load(report).reshape([axis.size for axis in kept]),
        volume=[axis.name for axis in kept] == list("zyx"),
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def write_ome_zarr(volume: Volume, path: str | Path, report: Report) -> None:
    """Write a store with the volume (z, y, x) and levels of half the size each, whole or not at all.

    Labels, which have ``classes`` in their metadata, are not averaged, and an ``image-label`` names and colours them.
    Raises FileError, also where a folder that is no Zarr store is in the way; Cancelled.
    """
    import zarr
    from zarr.storage import LocalStore

    dtype = stored_type(volume.values, NUMBERS, report, "OME-Zarr")
    shapes, classes = _level_shapes(volume.shape), volume.metadata.get("classes")
    with atomic_folder(path) as temporary:
        root = zarr.create_group(LocalStore(temporary), zarr_format=3)
        root.attrs.update(
            {
                "ome": {"version": "0.5", "multiscales": [_multiscales(volume, shapes)], **_image_label(classes)},
                "program": f"AtomSeg {__version__}",
                "history": json.loads(json.dumps([step.to_json() for step in volume.history], default=str)),
            }
        )
        above: Any = volume.values
        for index, shape in enumerate(shapes):
            level = _level(root, str(index), shape, dtype)
            part = report.part(*((0, 0.7) if index == 0 else (0.7, 1.0)))
            for start in range(0, shape[0], _CHUNK[0]):
                part.progress(start / shape[0], "writing")
                stop = min(start + _CHUNK[0], shape[0])
                level[start:stop] = _slab(above, start, stop, shape, dtype, averaged=classes is None)
            above = level


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the levels: each axis of 2 or more voxels halved until all are small."""
    shapes = [shape]
    while max(shapes[-1]) > _SMALLEST_LEVEL:
        shapes.append(tuple(max(1, size // 2) for size in shapes[-1]))
    return shapes


def _multiscales(volume: Volume, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """Axes and levels; a voxel of a coarser level lies in the middle of those that it is the mean of."""
    known = [size is not None for size in volume.pixel_size_nm]
    sizes = [size if size is not None else 1.0 for size in volume.pixel_size_nm]
    levels = []
    factors = [1] * 3
    for index, shape in enumerate(shapes):
        if index:
            before = shapes[index - 1]
            factors = [f * (2 if b > 1 else 1) for f, b in zip(factors, before, strict=True)]
        scale = [size * factor for size, factor in zip(sizes, factors, strict=True)]
        moved = [size * (factor - 1) / 2 for size, factor in zip(sizes, factors, strict=True)]
        transforms = [{"type": "scale", "scale": scale}]
        transforms += [{"type": "translation", "translation": moved}] if any(moved) else []
        levels.append({"path": str(index), "coordinateTransformations": transforms})
        assert len(shape) == len(scale)
    units = [{"unit": "nanometer"} if each else {} for each in known]
    axes = [{"name": name, "type": "space", **unit} for name, unit in zip("zyx", units, strict=True)]
    return {"name": volume.source.name, "axes": axes, "datasets": levels, "type": "mean"}


def _level(root: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> zarr.Array[Any]:
    """Array of a level. LZ4 packs no more than 255 times, so that a size in it can be held against that of its file."""
    from zarr.codecs import BloscCodec

    chunks = tuple(min(size, chunk) for size, chunk in zip(shape, _CHUNK, strict=True))
    return root.create_array(
        name, shape=shape, chunks=chunks, dtype=dtype, compressors=BloscCodec(cname="lz4", clevel=5),
        dimension_names=list("zyx"), config={"write_empty_chunks": True},
    )  # fmt: skip


def _image_label(classes: Any) -> dict[str, Any]:
    """Colours (red, green, blue, opacity) and names of the values of labels; nothing for volumes."""
    if classes is None:
        return {}
    colours = [
        {"label-value": each["value"], "rgba": [*bytes.fromhex(each["colour"].removeprefix("#")), 255]}
        for each in classes
    ]
    names = [{"label-value": each["value"], "class": each["name"]} for each in classes]
    return {"image-label": {"colors": colours, "properties": names}}


def _slab(
    above: Any, start: int, stop: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, averaged: bool
) -> Array:  # fmt: skip
    """Slices of a level: those of the array itself, or the mean of two by two by two of the level above.

    Not ``averaged``, the first of those eight voxels: numbers of classes have no mean.
    """
    if tuple(above.shape) == shape:
        return np.ascontiguousarray(above[start:stop], dtype)
    factors = [2 if size > 1 else 1 for size in above.shape]
    if not averaged:
        picked = tuple(slice(0, size * factor, factor) for size, factor in zip(shape[1:], factors[1:], strict=True))
        own = above[start * factors[0] : stop * factors[0]]
        return np.ascontiguousarray(own[(slice(None, None, factors[0]), *picked)], dtype)
    values = np.asarray(above[start * factors[0] : stop * factors[0]], np.float64)
    values = values[:, : shape[1] * factors[1], : shape[2] * factors[2]]
    split = [size for count, factor in zip(values.shape, factors, strict=True) for size in (count // factor, factor)]
    mean: Array = values.reshape(split).mean(axis=(1, 3, 5))
    return (np.rint(mean) if dtype.kind in "iu" else mean).astype(dtype)
