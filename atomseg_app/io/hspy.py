"""HyperSpy signals: ``Experiments/NAME`` with ``data``, ``axis-0``... and metadata, in HDF5 (.hspy) or Zarr (.zspy).

Groups of both libraries look alike (attributes, children by name), so the same code reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atomseg_app.io.dataset import Axis, Dataset, dataset
from atomseg_app.io.hdf5 import child_array, child_group, loader, name_of, number, small, text

if TYPE_CHECKING:
    import h5py

Loader = Callable[[Any], Any]


def read_group(path: Path, file: h5py.File) -> list[Dataset]:
    """Signals of a .hspy file; empty for other files."""
    experiments = child_group(file, "Experiments")
    if experiments is None:
        return []
    found = []
    for name in experiments:
        group = child_group(experiments, name)
        array = child_array(group, "data") if group is not None else None
        if group is None or array is None:
            continue
        tilts = child_group(group, "metadata", "Tomography", "_sig_tilts")
        angles = small(child_array(tilts, "data")).ravel().tolist() if tilts is not None else []
        stage = child_group(group, "metadata", "Acquisition_instrument", "TEM", "Stage")
        microscope = child_group(group, "metadata", "Acquisition_instrument", "TEM")
        facts = (
            angles,
            number(stage.attrs.get("tilt_alpha")) if stage is not None else None,
            number(microscope.attrs.get("beam_energy")) if microscope is not None else None,
        )
        children = {f"axis-{index}": child_group(group, f"axis-{index}") for index in range(array.ndim)}
        title = name if len(experiments) > 1 else ""
        found.append(describe(title, array, children, facts, loader(path, name_of(array))))
    return found


def describe(
    name: str,
    array: Any,
    axis_groups: dict[str, Any],
    facts: tuple[list[float], float | None, float | None],
    load: Loader,
) -> Dataset:
    """Dataset of a signal. ``facts`` are its tilt angles, the stage tilt in degrees and the voltage in kV."""
    angles, stage_tilt, voltage = facts
    axes, navigates = [], []
    for index, size in enumerate(array.shape):
        group = axis_groups.get(f"axis-{index}")
        attributes = dict(group.attrs) if group is not None else {}
        navigates.append(bool(attributes.get("navigate", False)))
        axes.append(_axis(size, attributes))
    signal = len(axes) - sum(navigates)
    tilt = angles or ([stage_tilt] if stage_tilt is not None else None)
    return dataset(
        name, axes, array.dtype, load, tilt_deg=tilt, metadata={"kV": voltage} if voltage else {},
        image_axes=1 if signal == 1 else 2,
    )  # fmt: skip


def _axis(size: int, attributes: dict[str, Any]) -> Axis:
    """Axis from HyperSpy's attributes; a scale without a unit is no length."""
    unit = text(attributes.get("units", ""))
    title = text(attributes.get("name", ""))
    offset = number(attributes.get("offset")) or 0.0
    return Axis(int(size), number(attributes.get("scale")), unit, offset, title)
