"""The functions behind the tasks of :mod:`atomseg_app.jobs.tasks`; heavy libraries are imported where they are used."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atomseg_app import operations
from atomseg_app.data import Columns, Image, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.io import files
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.operations import Report

EXPORT_FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "csv": ("tables:write_csv", ("columns",)),
    "json": ("tables:write_json", ("columns",)),
    "xyz": ("tables:write_xyz", ("columns",)),
    "atomap-hdf5": ("atomap_file:write_atomap_hdf5", ("columns", "image")),
}
"""Format of the ``export`` task to its writer in :mod:`atomseg_app.io` and the inputs it takes."""

_CHECKPOINT_S = 20.0


def run_operation(task: Task, report: Report) -> TaskResult:
    """Run a registered operation: arguments ``operation`` and ``parameters``.

    Items are the result and what came beside it, whose names are the value.
    """
    operation = operations.get(task.arguments["operation"])
    parameters = operation.parse(task.arguments.get("parameters", {}))
    result = operations.run(operation, task.inputs, parameters, report)
    beside = report.facts.beside
    return TaskResult(list(beside), (result, *beside.values()))


def inspect_file(task: Task, report: Report) -> TaskResult:
    """Datasets of the file ``path`` as a list of dictionaries, without loading them."""
    return TaskResult([dataclasses.asdict(info) for info in files.inspect(task.arguments["path"])])


def open_file(task: Task, report: Report) -> TaskResult:
    """Read ``dataset`` (None: the first readable one) of the file ``path``."""
    return TaskResult(items=(files.read(task.arguments["path"], task.arguments.get("dataset"), report),))


def export_columns(task: Task, report: Report) -> TaskResult:
    """Write a column table to ``path`` in ``format``; the value is the path. atomap's file takes the image, too."""
    wanted, path = task.arguments["format"], task.arguments["path"]
    if wanted not in EXPORT_FORMATS:
        raise UserError(f"Columns cannot be exported as {wanted!r}; formats: {', '.join(EXPORT_FORMATS)}.")
    writer, takes = EXPORT_FORMATS[wanted]
    given = tuple(item.kind for item in task.inputs)
    if given != takes:
        raise UserError(f"Export as {wanted} takes {' and '.join(takes)}, but was given {' and '.join(given)}.")
    columns, *others = task.inputs
    report.progress(0, f"writing {path}")
    module, _, name = writer.partition(":")
    getattr(importlib.import_module(f"atomseg_app.io.{module}"), name)(columns, path, *others)
    return TaskResult(str(path))


def save_volume(task: Task, report: Report) -> TaskResult:
    """Write a volume to ``path``, in the format of its extension; the value is the path."""
    from atomseg_app.io.volume_writer import write_volume

    (volume,) = task.inputs
    if not isinstance(volume, Volume):
        raise UserError(f"A {volume.kind.replace('-', ' ')} is no volume; reconstruct it first.")
    write_volume(task.arguments["path"], volume, report)
    return TaskResult(str(task.arguments["path"]))


def make_surface(task: Task, report: Report) -> TaskResult:
    """Surface of a volume at ``level``: vertices (n, 3) as x, y, z in voxels, and faces (m, 3), as two images."""
    from atomseg_app.surface import surface

    (volume,) = task.inputs
    assert isinstance(volume, Volume)
    vertices, faces = surface(volume.values, float(task.arguments["level"]), report)
    return TaskResult(len(faces), (Image(vertices, (None, None)), Image(faces, (None, None))))


def find_unexplained(task: Task, report: Report) -> TaskResult:
    """What a volume leaves of the views of a series: the residual views, and the R-factor of each as value."""
    from atomseg_app.tomography.unexplained import unexplained

    series, volume = task.inputs
    assert isinstance(series, TiltSeries)
    assert isinstance(volume, Volume)
    residual, r_factors = unexplained(series, volume, report)
    return TaskResult([float(r) for r in r_factors], (residual,))


def view_in_fourier_space(task: Task, report: Report) -> TaskResult:
    """Power of a volume by direction beside that of a series' views as value; its logarithm (kz, kx) as an image."""
    from atomseg_app.tomography.inferred import fourier_view

    series, volume = task.inputs
    assert isinstance(series, TiltSeries)
    assert isinstance(volume, Volume)
    found = fourier_view(series, volume, report)
    value = {
        "angle_deg": found.angle_deg.tolist(), "power": found.power.tolist(), "inferred": found.inferred.tolist(),
        "view_deg": found.view_deg.tolist(), "view_power": found.view_power.tolist(),
        "gaps_deg": [[gap.start, gap.stop] for gap in found.gaps], "inferred_share": found.inferred_share,
        "relative_density": found.relative_density,
    }  # fmt: skip
    return TaskResult(value, (Image(found.log_power, (None, None)),))


def fill_series(task: Task, report: Report) -> TaskResult:
    """The series over the whole half circle, with views of a volume where none was measured."""
    from atomseg_app.tomography.filled_series import told_series

    series, volume = task.inputs
    assert isinstance(series, TiltSeries)
    assert isinstance(volume, Volume)
    return TaskResult(items=(told_series(series, volume, report),))


def process_file(task: Task, report: Report) -> TaskResult:
    """One file of a batch: the arguments are those of :class:`batch.FileTask`; the value is its row of the summary."""
    from atomseg_app import batch

    asked = dict(task.arguments)
    outputs = batch.Outputs(**{name: Path(path) for name, path in asked.pop("outputs").items()})
    row = batch.process_one(batch.FileTask(Path(asked.pop("path")), outputs, **asked), report)[1]
    return TaskResult(dataclasses.asdict(row))


def simulate_pictures(task: Task, report: Report) -> TaskResult:
    """Pictures of ``preset`` (``count``, ``seed``, ``size_px``): image and true columns in turn; facts as value."""
    from atomseg_app import devices
    from atomseg_app.simulate.pictures import simulate_pictures as simulate
    from atomseg_app.simulate.preset import PRESETS

    asked = task.arguments
    preset = dataclasses.replace(PRESETS[asked["preset"]], size_px=asked["size_px"])
    device = devices.choose(asked.get("device", "auto"), report)
    pictures = list(simulate(preset, asked["count"], asked["seed"], device, report))
    items = tuple(item for picture in pictures for item in (picture.image, picture.columns))
    return TaskResult([dict(picture.facts) for picture in pictures], items)


def train_network(task: Task, report: Report) -> TaskResult:
    """Train ``kind`` with ``settings`` in ``folder``, going on where ``resume`` says so; the value is the card's path.

    The model goes to ``shelf``. Checkpoints are frequent: a job that does not stop in time is ended.
    """
    from atomseg_app.networks.courses import kind

    asked, chosen = task.arguments, kind(task.arguments["kind"])
    model = chosen.load(chosen.train)(
        chosen.settings.model_validate(asked["settings"]), Path(asked["folder"]), report, shelf=Path(asked["shelf"]),
        resume=asked["resume"], checkpoint_s=_CHECKPOINT_S,
    )  # fmt: skip
    return TaskResult(str(model.card_path))


def keep_network(task: Task, report: Report) -> TaskResult:
    """Save the best network so far of the run of ``kind`` in ``folder`` to ``shelf``; the value is the card's path."""
    from atomseg_app.networks.courses import kind

    asked, chosen = task.arguments, kind(task.arguments["kind"])
    model = chosen.load(chosen.keep)(Path(asked["folder"]), report, shelf=Path(asked["shelf"]))
    return TaskResult(str(model.card_path))


def adapt_network(task: Task, report: Report) -> TaskResult:
    """Adapt a network to an image, and its columns if given, with ``settings``; what comes out is saved in ``folder``.

    The value has ``verdict``, whether a network was ``saved``, and the figures ``before`` and ``after``.
    """
    from atomseg_app.atoms.adapt import adapt
    from atomseg_app.atoms.adapt_settings import AdaptColumns

    image, *tables = task.inputs
    assert isinstance(image, Image)
    columns = tables[0] if tables else None
    assert columns is None or isinstance(columns, Columns)
    settings = AdaptColumns.model_validate(task.arguments["settings"])
    adapted = adapt(image, columns, settings, Path(task.arguments["folder"]), report)
    before = {"columns": len(adapted.before), **adapted.validation_before.to_json()}
    after = {"columns": len(adapted.after), **adapted.validation_after.to_json()}
    saved = adapted.model is not None
    return TaskResult({"verdict": adapted.verdict, "saved": saved, "before": before, "after": after}, (adapted.after,))


def warm_up(task: Task, report: Report) -> TaskResult:
    """Import torch and every operation and run one kernel, so that the first job does not wait for it.

    The kernels of tomography, whose compiling takes a while once after installing, go on in a thread of their own.
    """
    import torch

    from atomseg_app.tomography.warm_up import warm_up_beside

    for operation in operations.all_operations().values():
        report.check()
        operation.load()
    warm_up_beside()
    return TaskResult(float((torch.ones(64, 64) @ torch.ones(64, 64)).sum()))


def list_devices(task: Task, report: Report) -> TaskResult:
    """Devices as dictionaries: ``name``, ``kind``, ``free_bytes``, ``capability``, ``usable`` and ``why_not``."""
    import psutil
    import torch

    devices: list[dict[str, Any]] = [
        {
            "name": "CPU", "kind": "cpu", "free_bytes": psutil.virtual_memory().available,
            "capability": f"{torch.get_num_threads()} threads", "usable": True, "why_not": "",
        }
    ]  # fmt: skip
    if torch.cuda.is_available():
        devices += [_cuda_device(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(
            {"name": "Apple GPU", "kind": "mps", "free_bytes": psutil.virtual_memory().available,
             "capability": "Metal", "usable": True, "why_not": ""}
        )  # fmt: skip
    return TaskResult(devices)


def _cuda_device(index: int) -> dict[str, Any]:
    """Facts of one CUDA card; a kernel is run on it, since a card too old for this build of torch is listed too."""
    import torch

    name, (major, minor) = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
    try:
        free = torch.cuda.mem_get_info(index)[0]
        works = (torch.ones(8, device=f"cuda:{index}") * 2).sum().item() == 16
        why_not = "" if works else "a test kernel gave a wrong result"
    except RuntimeError as problem:
        free, why_not = 0, str(problem).splitlines()[0]
    return {
        "name": name, "kind": "cuda", "free_bytes": free, "capability": f"{major}.{minor}",
        "usable": not why_not, "why_not": why_not,
    }  # fmt: skip
