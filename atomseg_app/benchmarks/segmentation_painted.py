"""From five painted slices of a kind of specimen that no bundled network knows, against the same network taught all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_least
from atomseg_app.data import Labels, Volume
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.operations import DEFAULT_MODEL, Segment
from atomseg_app.segmentation.predict import predict
from atomseg_app.segmentation.scores import confusion, scores
from atomseg_app.segmentation.settings import TrainSegmentation
from atomseg_app.segmentation.training import train_segmentation
from atomseg_app.simulate.catalyst import unseen_catalyst

_SHAPE_ZYX = (192, 96, 192)
_PAINTED = (12, 30, 48, 66, 84)
"""Slices across y; the others, but for their neighbours, are what is judged."""
_NEAR = 2
_MOST_LOST = 0.03


def painted(minutes: float = 20.0, seeds: int = 3, start_from: str | None = DEFAULT_MODEL) -> list[Bar]:
    """Print the table; gives the bar. Each seed is another specimen; two trainings of ``minutes`` each."""
    rows: list[list[object]] = []
    metal: dict[str, list[float]] = {"five slices": [], "dense": [], "bundled": []}
    for seed in range(seeds):
        made = unseen_catalyst(1000 + seed, _SHAPE_ZYX)
        judged = _judged(made.labels)
        models = {"bundled": DEFAULT_MODEL}
        with tempfile.TemporaryDirectory() as folder:
            for name, labels in (("five slices", _painted(made.labels)), ("dense", made.labels)):
                settings = TrainSegmentation(minutes=minutes, seed=seed + 1, axis="y", start_from=start_from)
                place = Path(folder) / name.replace(" ", "_")
                models[name] = str(train_segmentation(made.volume, labels, settings, place, Report()).card_path)
            for name, model in models.items():
                dice = _dice(made.volume, judged, model)
                metal[name].append(dice[-1])
                rows.append([made.family, seed, name, *dice])
    classes = [each.name for each in made.labels.classes]
    print_table(
        f"Specimens of a family that no network was trained on, {' x '.join(map(str, _SHAPE_ZYX))} voxels: taught five "
        f"painted slices, taught all, {minutes:g} min each, beginning with "
        f"{'the bundled network' if start_from else 'random weights'}; and the bundled network as it is. Dice on the "
        "slices that are not painted.",
        ["family", "seed", "taught", *classes], rows,
    )  # fmt: skip
    lost = float(np.mean(metal["five slices"]) - np.mean(metal["dense"]))
    return [at_least("metal Dice from five painted slices, less that of the dense labels", -_MOST_LOST, lost)]


def _painted(labels: Labels) -> Labels:
    values = np.full(labels.shape, IGNORE, np.uint8)
    for index in _PAINTED:
        values[:, index] = labels.values[:, index]
    return Labels(values, labels.pixel_size_nm, classes=labels.classes)


def _judged(labels: Labels) -> Labels:
    values = labels.values.copy()
    for index in _PAINTED:
        values[:, index - _NEAR : index + _NEAR + 1] = IGNORE
    return Labels(values, labels.pixel_size_nm, classes=labels.classes)


def _dice(volume: Volume, judged: Labels, model: str) -> list[float]:
    found = predict(volume, Segment(model=model), Report()).labels
    table = scores(confusion(judged.values, found.values, len(judged.classes)), [c.name for c in judged.classes])
    return [float("nan") if each["dice"] is None else each["dice"] for each in table.values()]
