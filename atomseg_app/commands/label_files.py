"""``atomseg export-labels`` and ``atomseg mesh``: segmented volumes for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from atomseg_app.errors import FileError

_LABELS = typer.Argument(help="File of labels: whole numbers 0 to 255, z y x.", show_default=False)
_OVERWRITE = typer.Option("--overwrite", help="Replace an existing result.")
_VOXEL = typer.Option("--pixel-size-nm", min=1e-6, max=1e9, help="Size of a voxel in nm, instead of the file's.")


def export_labels(
    labels: Annotated[Path, _LABELS],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="File to write: .tif, .mrc, .nrrd, .h5, .ome.zarr or .vti by its end."),
    ],
    pixel_size_nm: Annotated[float | None, _VOXEL] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Labels in another format, with the names of their classes where it can hold them, and in the JSON beside."""
    from atomseg_app.commands.long_work import interruptible
    from atomseg_app.io.labels import read_labels, write_labels
    from atomseg_app.io.volume_writer import volume_extension

    volume_extension(output)
    _free(output, overwrite=overwrite)
    with interruptible() as report:
        item = read_labels(labels, None, report)
        write_labels(output, item if pixel_size_nm is None else item.with_pixel_size(pixel_size_nm), report)
    sys.stdout.write(f"{output}\n")


def mesh(
    labels: Annotated[Path, _LABELS],
    output: Annotated[
        Path, typer.Option("-o", "--output", dir_okay=False, help="File to write: .stl, .ply or .obj by its end.")
    ],
    of: Annotated[str, typer.Option("--class", help="Class by name or number: the last one.")] = "",
    step: Annotated[int, typer.Option(min=1, max=32, help="Blocks of so many voxels a side are one: lighter.")] = 1,
    pixel_size_nm: Annotated[float | None, _VOXEL] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """The surface of a class as a closed mesh, in nm where the voxel size is known."""
    from atomseg_app.commands.long_work import interruptible
    from atomseg_app.io.labels import read_labels
    from atomseg_app.io.meshes import write_mesh
    from atomseg_app.segmentation.measure_settings import MeasureLabels, chosen_classes
    from atomseg_app.segmentation.meshes import class_mesh

    _free(output, overwrite=overwrite)
    with interruptible() as report:
        item = read_labels(labels, None, report)
        item = item if pixel_size_nm is None else item.with_pixel_size(pixel_size_nm)
        chosen, _ = chosen_classes(item, MeasureLabels(particles=of))
        vertices, faces, unit = class_mesh(item, chosen.value, step, report)
        write_mesh(output, vertices, faces, unit)
    sys.stdout.write(f"{output}: {len(faces)} triangles in {unit}\n")


def _free(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileError(f"{path} is already there; move it away, or allow overwriting (--overwrite).")
