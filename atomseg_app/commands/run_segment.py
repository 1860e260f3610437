"""Running ``atomseg segment``: read the volume, run the network, write what was asked for and its history."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from atomseg_app import batch, operations
from atomseg_app.commands.long_work import interruptible
from atomseg_app.data import ImageSeries, Labels, Volume
from atomseg_app.errors import Cancelled, FileError, UserError
from atomseg_app.operations import Report
from atomseg_app.segmentation.operations import SEGMENT, Segment

DONE, CANCELLED = 0, 130


def run_segment(
    values: Mapping[str, Any],
    *,
    volume: Path,
    pixel_size_nm: float | None,
    dataset: str | None,
    output: Path | None,
    overwrite: bool,
) -> int:
    """Segment and write; returns the exit code. Names of results go to stdout. Raises UserError."""
    from atomseg_app.io.label_parts import write_probabilities
    from atomseg_app.io.labels import write_labels
    from atomseg_app.io.volume_writer import write_volume

    batch.log_to_file()
    parameters = Segment.model_validate(dict(values))
    targets = _targets(volume, output or volume.parent, parameters)
    for path in targets.values():
        if path.exists() and not overwrite:
            raise FileError(f"{path} is already there; move it away, or allow overwriting (--overwrite).")
    with interruptible() as report:
        try:
            item = read_volume(volume, dataset, pixel_size_nm, report)
            labels = operations.run(SEGMENT, (item,), parameters, report)
            assert isinstance(labels, Labels)
            beside = {name: item for name, item in report.facts.beside.items() if isinstance(item, Volume)}
            targets["labels"].parent.mkdir(parents=True, exist_ok=True)
            write_labels(targets["labels"], labels, report)
            if "probabilities" in targets:
                chances = {each.name: beside[f"probability_{each.value}"] for each in labels.classes}
                write_probabilities(targets["probabilities"], chances, report)
            for name in ("entropy", "disagreement"):
                if name in targets:
                    write_volume(targets[name], beside[name], report)
        except Cancelled:
            typer.echo("atomseg: cancelled; nothing was saved.", err=True)
            return CANCELLED
    for path in targets.values():
        sys.stdout.write(f"{path}\n")
    return DONE


def read_volume(path: Path, dataset: str | None, pixel_size_nm: float | None, report: Report) -> Volume:
    """The volume of a file. Raises UserError where it holds something else."""
    from atomseg_app.io import files

    item = files.read(path, dataset, report)
    if not isinstance(item, Volume):
        if not isinstance(item, ImageSeries):
            raise UserError(f"{path} holds data of kind {item.kind}, not a volume.")
        report.note(f"{path.name} does not say that it is a volume; its frames are taken as slices along z.")
        sizes = (None, *item.pixel_size_nm)
        item = Volume(item.values, sizes, item.source, item.metadata, item.history)
    return item if pixel_size_nm is None else item.with_pixel_size(pixel_size_nm)


def _targets(volume: Path, folder: Path, parameters: Segment) -> dict[str, Path]:
    """File of each result."""
    name = volume.name.partition(".")[0] or volume.stem
    ends = {"labels": ".tif"}
    if parameters.probabilities:
        ends["probabilities"] = ".h5"
    if parameters.uncertainty:
        ends["entropy"] = ".mrc"
        if parameters.three_axes:
            ends["disagreement"] = ".mrc"
    return {what: folder / f"{name}_{what}{end}" for what, end in ends.items()}
