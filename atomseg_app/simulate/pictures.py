"""Simulated pictures one by one, as data objects with their truth, and as files that every reader knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from atomseg_app import __version__
from atomseg_app.data import Array, Columns, Image, Source, column_table, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_path, write_text
from atomseg_app.operations import Report
from atomseg_app.simulate.crystals import element
from atomseg_app.simulate.preset import VERSION, Preset
from atomseg_app.simulate.simulator import Batch, Simulator

LABELS = ("circle", "gaussian", "clean", "background-free", "super-resolved")
MANIFEST = "manifest.json"
TRUTH_HEADER = ("x_px", "y_px", "x_nm", "y_nm", "amplitude", "sigma_px", "sum_z", "atoms", "element", "snr")

_BATCH_PIXELS = 8 * 256 * 256


@dataclass(frozen=True)
class Picture:
    """An image in counts, its true columns, its label images (y, x) by name, and what it was made with.

    Of the columns, ``amplitude`` is in counts over the background (negative for dark ones), ``sum_z``, ``atoms`` and
    ``strongest_z`` tell what they are made of, ``snr`` is the matched-filter signal-to-noise.
    """

    image: Image
    columns: Columns
    labels: Mapping[str, Array]
    facts: Mapping[str, Any]


def simulate_pictures(preset: Preset, count: int, seed: int, device: torch.device, report: Report) -> Iterator[Picture]:
    """The first ``count`` pictures of a seed: the same whatever the count. Reports progress."""
    together = max(1, min(8, _BATCH_PIXELS // preset.size_px**2))
    report.progress(0.0, "preparing the crystals")
    source = Simulator(preset, seed, device)
    for first in range(0, count, together):
        batch = source.batch(together)
        for index in range(min(together, count - first)):
            report.progress((first + index) / count, f"picture {first + index + 1} of {count}")
            yield _picture(batch, index, f"{preset.name}-{seed}-{first + index + 1:05d}")


def write_pictures(
    preset: Preset, count: int, seed: int, folder: Path, device: torch.device, report: Report, *,
    labels: bool = False, overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write pictures as 32-bit TIFF with pixel size, their truth as CSV, and a manifest, whose path is returned.

    With ``labels`` the label images, too. Raises UserError where the folder holds such pictures already.
    """
    manifest = folder / MANIFEST
    if manifest.exists() and not overwrite:
        raise UserError(f"{folder} holds simulated pictures already; --overwrite replaces them, -o chooses another.")
    written = []
    for picture in simulate_pictures(preset, count, seed, device, report):
        name = picture.image.source.name
        size_nm = picture.facts["pm_per_px"] / 1000
        write_tiff(folder / f"{name}.tif", picture.image.values, size_nm)
        write_text(folder / f"{name}_truth.csv", truth_csv(picture.columns))
        files = {"image": f"{name}.tif", "truth": f"{name}_truth.csv"}
        if labels:
            for label, values in picture.labels.items():
                write_tiff(folder / f"{name}_{label}.tif", values, size_nm)
                files[label] = f"{name}_{label}.tif"
        written.append({**files, **picture.facts})
    told = {
        "format": "atomseg-simulated", "schema": 1, "version": __version__, "simulator_version": VERSION,
        "seed": seed, "device": device.type, "preset": preset.to_json(), "pictures": written,
    }  # fmt: skip
    write_text(manifest, json.dumps(told, indent=1) + "\n")
    return manifest


def write_tiff(path: Path, values: Array, size_nm: float) -> None:
    """Write a picture (y, x) as 32-bit TIFF with its pixel size, whole or not at all. Raises FileError."""
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, np.asarray(values, np.float32), imagej=True, resolution=(1 / size_nm, 1 / size_nm),
            metadata={"unit": "nm"},
        )  # fmt: skip


def truth_csv(columns: Columns) -> str:
    """Table of true columns as text: :data:`TRUTH_HEADER`, one row a column."""
    table, (size_y, size_x) = columns.table, columns.pixel_size_nm
    cells = {name: table[name].tolist() for name in (*TRUTH_HEADER, "strongest_z") if name in (table.dtype.names or ())}
    cells["x_nm"] = [""] * len(table) if size_x is None else (table["x_px"] * size_x).tolist()
    cells["y_nm"] = [""] * len(table) if size_y is None else (table["y_px"] * size_y).tolist()
    cells["element"] = [element(int(number)) for number in cells["strongest_z"]]
    rows = zip(*(cells[name] for name in TRUTH_HEADER), strict=True)
    return "".join(",".join(map(str, row)) + "\n" for row in (TRUTH_HEADER, *rows))


def _picture(batch: Batch, index: int, name: str) -> Picture:
    """One picture of a batch."""
    dark = bool(batch.clean[index].sum() < 0)
    sign = -1.0 if dark else 1.0
    mine = batch.truth.image == index
    truth, snr = batch.truth.take(mine), batch.snr[mine]
    dose, pm_per_px = float(batch.dose[index]), float(batch.pm_per_px[index])
    table = column_table(len(snr))
    table["x_px"], table["y_px"] = _numbers(truth.x_px), _numbers(truth.y_px)
    table["amplitude"] = sign * dose * _numbers(truth.amplitude)
    table["sigma_px"], table["probability"] = float(batch.sigma_px[index]), 1.0
    size_nm, source = pm_per_px / 1000, Source(f"{name}.tif")
    columns = Columns(table, tuple(batch.image.shape[1:]), (size_nm, size_nm), source)  # type: ignore[arg-type]
    columns = with_quantities(
        columns,
        {"sum_z": _numbers(truth.sum_z), "atoms": _numbers(truth.atoms), "strongest_z": _numbers(truth.number),
         "snr": _numbers(snr)},
    )  # fmt: skip
    facts = {
        "structure": batch.names[index], "pm_per_px": pm_per_px, "sigma_px": float(batch.sigma_px[index]),
        "dose_counts": dose, "dark": dark, "coarse": batch.coarse, "columns": len(snr),
    }  # fmt: skip
    labels = {
        "circle": (batch.mask[index] > 0.5).float(), "gaussian": batch.mask[index],
        "clean": sign * batch.clean[index], "background-free": batch.columns[index],
        "super-resolved": batch.narrow[index],
    }  # fmt: skip
    image = Image((sign * batch.image[index]).cpu().numpy().astype(np.float32), (size_nm, size_nm), source, dict(facts))
    return Picture(image, columns, {key: value.cpu().numpy() for key, value in labels.items()}, facts)


def _numbers(values: torch.Tensor) -> Array:
    return values.cpu().numpy().astype(np.float64)
