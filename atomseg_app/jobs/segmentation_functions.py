"""The functions behind the tasks of the segmentation tab; heavy libraries are imported where they are used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from atomseg_app.data import Array, Columns, Image, Labels, Volume
from atomseg_app.io.labels import read_labels, write_labels
from atomseg_app.io.scratch import scratch
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.error_codes import RIGHT
from atomseg_app.segmentation.settings import TrainSegmentation

_CHECKPOINT_S = 20.0
_GUESSED_FROM = 2000
_THIN = 0.12


def edit_labels(task: Task, report: Report) -> TaskResult:
    """An edit ``how`` of labels: masks to paint as items; ``starts`` (z, y, x) and ``erase`` of each as value."""
    from atomseg_app.segmentation.editing import edited

    arrays = [item.values for item in task.inputs if not isinstance(item, Columns)]
    parts = edited(task.arguments["how"], task.arguments, arrays, report)
    told = {"starts": [list(part.start) for part in parts], "erase": [part.erase for part in parts]}
    return TaskResult(told, tuple(Volume(part.mask.astype(np.uint8), (None,) * 3) for part in parts))


def open_labels(task: Task, report: Report) -> TaskResult:
    """Labels of the file ``path``, of whole numbers from 0 to 255; classes with the names that the file tells."""
    return TaskResult(items=(read_labels(task.arguments["path"], report=report),))


def save_labels(task: Task, report: Report) -> TaskResult:
    """Write labels to ``path``, in the format of its extension, their classes beside them; the value is the path."""
    (labels,) = task.inputs
    assert isinstance(labels, Labels)
    write_labels(task.arguments["path"], labels, report)
    return TaskResult(str(task.arguments["path"]))


def train(task: Task, report: Report) -> TaskResult:
    """Train a network on a volume and its labels with ``settings`` in ``folder``; the value is the card's path.

    With ``slices`` the labels are those of these slices along z; nobody labelled the others.
    """
    from atomseg_app.segmentation.training import train_segmentation

    volume, labels = task.inputs
    assert isinstance(volume, Volume)
    assert isinstance(labels, Labels)
    asked = task.arguments
    if "slices" in asked:
        whole = scratch(volume.shape, np.uint8)
        whole[...] = IGNORE
        whole[np.asarray(asked["slices"], np.intp)] = labels.values
        labels = replace(labels, values=whole)
    model = train_segmentation(
        volume, labels, TrainSegmentation.model_validate(asked["settings"]), Path(asked["folder"]), report,
        shelf=Path(asked["shelf"]), resume=asked["resume"], checkpoint_s=_CHECKPOINT_S,
    )  # fmt: skip
    return TaskResult(str(model.card_path))


def keep(task: Task, report: Report) -> TaskResult:
    """Save the best network so far of the run in ``folder`` to ``shelf``; the value is the card's path."""
    from atomseg_app.segmentation.training import keep_segmentation

    model = keep_segmentation(Path(task.arguments["folder"]), report, shelf=Path(task.arguments["shelf"]))
    return TaskResult(str(model.card_path))


def label_surfaces(task: Task, report: Report) -> TaskResult:
    """Surfaces of the classes ``values`` of labels: vertices (x, y, z in voxels) and faces in turn, as images.

    With ``step`` > 1 they are of the shares of the class in blocks of that many voxels a side: coarser, and lighter.
    With a reference as second input they are of the errors of the class ``errors_of``, by their codes.
    """
    from atomseg_app.surface import surface

    labels = task.inputs[0]
    assert isinstance(labels, Labels)
    if len(task.inputs) > 1:
        labels = _error_map(task, int(task.arguments["errors_of"]), report)
    values, step = [int(value) for value in task.arguments["values"]], int(task.arguments.get("step", 1))
    items: list[Image] = []
    for number, value in enumerate(values):
        part = report.part(number / len(values), (number + 1) / len(values))
        # Errors are mostly a voxel thick: at half their share smoothing and blocks would leave nothing of them.
        level = _THIN if len(task.inputs) > 1 and value != RIGHT else 0.5
        shares = _shares(labels.values, value, step)
        if len(task.inputs) > 1 and not (shares > level).any():
            level = _THIN  # what is right in painted slices is thin, too
        vertices, faces = surface(shares, level, part)
        whole = np.asarray(vertices * step + (step - 1) / 2, np.float32)
        items += [Image(whole, (None, None)), Image(faces, (None, None))]
    return TaskResult(values, tuple(items))


def _shares(labels: Array, value: int, step: int) -> Array:
    """Share of a class in blocks of voxels, smoothed a little at full resolution so that steps do not show."""
    from scipy import ndimage

    if step == 1:
        return np.asarray(ndimage.gaussian_filter((labels == value).astype(np.float32), 0.7))
    shape = tuple(-(-size // step) for size in labels.shape)
    shares = np.zeros(shape, np.float32)
    rows, columns = (np.arange(0, size, step) for size in labels.shape[1:])
    for z in range(labels.shape[0]):
        plane = np.add.reduceat((labels[z] == value).astype(np.float32), rows, axis=0)
        shares[z // step] += np.add.reduceat(plane, columns, axis=1)
    return shares / step**3


def _level(shares: Array) -> float:
    """Level at which the mesh encloses as many voxels as the class has: 0.5 would shrink what is small and round.

    Straight between the volumes of the meshes at 0.5 and 0.4.
    """
    from atomseg_app.surface import surface

    wanted = float(shares.sum(dtype=np.float64))
    half, lower = (_enclosed(*surface(shares, level)) for level in (0.5, 0.4))
    return float(np.clip(0.5 - 0.1 * (wanted - half) / (lower - half), 0.2, 0.6)) if lower > half else 0.5


def _enclosed(vertices: Array, faces: Array) -> float:
    """Volume within a closed mesh, by the divergence theorem."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float(np.einsum("ni,ni->", a, np.cross(b, c))) / 6


def _error_map(task: Task, value: int, report: Report) -> Labels:
    """Errors of a class of the first input against the second."""
    from atomseg_app.segmentation.error_map import error_map

    labels, reference = task.inputs
    assert isinstance(labels, Labels)
    assert isinstance(reference, Labels)
    return error_map(labels, reference, value, report)


def save_errors(task: Task, report: Report) -> TaskResult:
    """Write the errors of the class ``value`` of labels against a reference to ``path``, as any labels are written."""
    found = _error_map(task, int(task.arguments["value"]), report.part(0, 0.5))
    write_labels(task.arguments["path"], found, report.part(0.5, 1))
    return TaskResult(str(task.arguments["path"]))


def compare_with(task: Task, report: Report) -> TaskResult:
    """Scores of labels against a reference: ``header`` and ``rows`` as ``atomseg compare-labels`` writes them, and the
    confusion ``matrix`` (true class, found class, the last column: none of them) with the names of ``classes``.
    """
    from atomseg_app.segmentation.measurement_files import comparison_rows
    from atomseg_app.segmentation.metrics import compare

    labels, reference = task.inputs
    assert isinstance(labels, Labels)
    assert isinstance(reference, Labels)
    found = compare(labels, reference, report)
    header, rows = comparison_rows(found)
    return TaskResult({
        "header": list(header), "rows": rows, "matrix": found.matrix.tolist(), "unit": found.unit,
        "classes": [each.name for each in found.scores],
    })  # fmt: skip


def find_errors(task: Task, report: Report) -> TaskResult:
    """Errors of the class ``value`` of labels against a reference: places and profile as images; how many in all."""
    from atomseg_app.segmentation.error_list import list_errors

    labels, reference = task.inputs
    assert isinstance(labels, Labels)
    assert isinstance(reference, Labels)
    found = list_errors(labels.values, reference.values, int(task.arguments["value"]), report)
    return TaskResult(found.total, (Image(found.places, (None, None)), Image(found.profile, (None, None))))


def preview_labels(task: Task, report: Report) -> TaskResult:
    """A guess of the slice ``index`` along the first axis by a random forest taught the labels of the others."""
    from atomseg_app.segmentation.baselines import Forest
    from atomseg_app.segmentation.dataset import classes_of, taught

    volume, labels = task.inputs
    assert isinstance(volume, Volume)
    assert isinstance(labels, Labels)
    classes = classes_of(labels)
    classes = tuple(each for each in classes if (labels.values == each.value).any())
    item = taught(volume, _thinned(labels), classes, "z")
    trees = Forest.of([item], classes, "z")
    report.check()
    best = trees.probabilities(item, int(task.arguments["index"])).argmax(0)
    table = np.array([each.value for each in classes], np.uint8)
    return TaskResult(items=(Image(table[best], (None, None)),))


def _thinned(labels: Labels) -> Labels:
    """At most 2,000 labelled voxels of each class, evenly: a guess must not keep the user waiting."""
    values = np.array(labels.values)
    for each in labels.classes:
        where = np.flatnonzero(values == each.value)
        if len(where) > _GUESSED_FROM:
            kept = where[np.linspace(0, len(where) - 1, _GUESSED_FROM).astype(np.intp)]
            values.ravel()[np.setdiff1d(where, kept, assume_unique=True)] = IGNORE
    return replace(labels, values=values)


def baseline(task: Task, report: Report) -> TaskResult:
    """A segmentation without a network: ``otsu`` of the volume's grey levels, or the ``forest`` of what is painted."""
    from atomseg_app.segmentation.baselines import forest, otsu

    volume, labels = task.inputs
    assert isinstance(volume, Volume)
    assert isinstance(labels, Labels)
    if task.arguments["how"] == "otsu":
        return TaskResult(items=(otsu(volume, labels.classes),))
    return TaskResult(items=(forest(volume, labels, report),))


def measure_labels(task: Task, report: Report) -> TaskResult:
    """Particles of labels with ``settings``: the table (n, quantities) and the particle of each voxel as items.

    The value has ``names`` and ``powers`` of the quantities, ``unit``, ``spacing``, ``totals`` and ``fits``.
    """
    from atomseg_app.segmentation.measure_settings import MeasureLabels
    from atomseg_app.segmentation.particles import POWERS, measure, scale_of

    (labels,) = task.inputs
    assert isinstance(labels, Labels)
    found = measure(labels, MeasureLabels.model_validate(task.arguments["settings"]), report)
    names = list(found.table.dtype.names or ())
    table = np.stack([found.table[name].astype(np.float64) for name in names], axis=1)
    told = {
        "names": names, "powers": POWERS, "unit": found.unit, "spacing": list(scale_of(labels, Report())[0]),
        "totals": [{"name": each.name, "value": each.value, "power": each.power} for each in found.totals],
        "fits": [{"name": each.name, "centre": each.centre, "width": each.width, "ks": each.ks} for each in found.fits],
    }  # fmt: skip
    return TaskResult(told, (Image(table, (None, None)), Volume(found.instances, labels.pixel_size_nm)))


def save_meshes(task: Task, report: Report) -> TaskResult:
    """Write the surface of each class of ``values`` to its path in ``paths``, in nm where the voxel size is known.

    The value lists what was written; a class without voxels is left out and noted.
    """
    from atomseg_app.io.meshes import write_mesh
    from atomseg_app.segmentation.particles import scale_of
    from atomseg_app.surface import surface

    (labels,) = task.inputs
    assert isinstance(labels, Labels)
    (z, y, x), unit = scale_of(labels, report)
    step, asked = int(task.arguments.get("step", 1)), task.arguments
    written = []
    for number, (value, path) in enumerate(zip(asked["values"], asked["paths"], strict=True)):
        part = report.part(number / len(asked["values"]), (number + 1) / len(asked["values"]))
        shares = _shares(labels.values, int(value), step)
        vertices, faces = surface(shares, _level(shares), part)
        if not len(faces):
            report.note(f"{Path(path).name} was not written: no voxel has that class.")
            continue
        write_mesh(path, (vertices * step + (step - 1) / 2) * np.array([x, y, z]), faces, unit)
        written.append(str(path))
    return TaskResult(written)
