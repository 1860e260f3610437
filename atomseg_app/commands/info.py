"""``atomseg info``: what files hold, for people or as JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from atomseg_app.batch import log_to_file
from atomseg_app.commands.inputs import collect
from atomseg_app.errors import UserError
from atomseg_app.io.files import DatasetInfo, inspect
from atomseg_app.io.formats import is_zarr
from atomseg_app.io.patterns import is_pattern


def print_info(arguments: Sequence[str], *, as_json: bool) -> int:
    """Print the datasets of each file; returns 1 if any file cannot be used."""
    log_to_file()
    found = collect(arguments)
    known: dict[str, tuple[DatasetInfo, ...]] = {}
    errors = dict(found.problems)
    for path in found.paths:
        try:
            known[str(path)] = inspect(path)
        except UserError as problem:
            errors[str(path)] = str(problem)
    refused = [name for name, datasets in known.items() if all(info.refusal for info in datasets)]
    if as_json:
        report = {name: {"datasets": [asdict(info) for info in datasets]} for name, datasets in known.items()}
        typer.echo(json.dumps({**report, **{n: {"error": e} for n, e in errors.items()}}, indent=2, default=str))
    else:
        for name, datasets in known.items():
            _tell(name, datasets)
        for name, datasets in _series_in(arguments).items():
            _tell(f"{name} as one series", datasets)
        for error in errors.values():
            typer.echo(f"atomseg: {error}", err=True)
    return 1 if errors or refused else 0


def _tell(name: str, datasets: Sequence[DatasetInfo]) -> None:
    """A file and what it holds."""
    typer.echo(name)
    for info in datasets:
        typer.echo(f"  {_line(info)}")
        for note in info.notes:
            typer.echo(f"    {note}")


def _series_in(arguments: Sequence[str]) -> dict[str, tuple[DatasetInfo, ...]]:
    """Folders and patterns whose files can be opened together, as tilts that were saved one by one."""
    found = {}
    for argument in arguments:
        if is_pattern(argument) or (Path(argument).is_dir() and not is_zarr(Path(argument))):
            with contextlib.suppress(UserError):
                found[argument] = inspect(argument)
    return {name: datasets for name, datasets in found.items() if datasets[0].shape[0] > 1}


def _line(info: DatasetInfo) -> str:
    """One dataset in words."""
    shape = " x ".join(map(str, info.shape))
    text = f"{info.name + ': ' if info.name else ''}{info.kind}, {shape}, {info.dtype}"
    if info.refusal:
        return f"{text}; {info.refusal}"
    sizes = dict.fromkeys(f"{size:.6g} nm" if size is not None else "unknown" for size in info.pixel_size_nm)
    tilts = sorted(set(info.tilt_deg or ()))
    tilt = f", tilt {' to '.join(f'{angle:g}' for angle in (tilts[:1] + tilts[1:][-1:]))} degrees" if tilts else ""
    return f"{text}, pixel size {' x '.join(sizes)}{tilt}"
