"""What a network must beat: thresholds by Otsu, and a random forest; the forest is also the preview while painting.

Otsu: several thresholds that make the variance within classes least (Otsu 1979; Liao, Chen, Chung 2001). Random
forest: Breiman 2001, scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.scratch import scratch
from atomseg_app.label_classes import IGNORE, LabelClass, numbered
from atomseg_app.operations import Report
from atomseg_app.segmentation.dataset import AXES, AxisName, Taught, classes_of, painted_axis, taught
from atomseg_app.segmentation.features import slice_features
from atomseg_app.segmentation.grey import GreyRange

_BINS = 256
_TREES, _DEPTH = 40, 14
_MOST_A_CLASS = 12_000  # voxels that the forest learns from


def otsu_thresholds(values: Array, classes: int) -> npt.NDArray[np.float64]:
    """Grey levels (classes - 1,) between so many classes. Raises UserError where the values have fewer levels."""
    finite = np.asarray(values[np.isfinite(values)], np.float64)
    if classes < 2 or len(np.unique(finite)) < classes:
        raise UserError(f"The volume has too few grey levels to be parted into {classes} classes.")
    counts, edges = np.histogram(finite, _BINS)
    middle = (edges[:-1] + edges[1:]) / 2
    weight = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * middle)])
    n = weight[None, :] - weight[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # between[a, b]: what bins a..b-1 as one class add to the variance between classes
        between = np.where(n > 0, (moment[None, :] - moment[:, None]) ** 2 / n, 0.0)
    between[np.tril_indices(_BINS + 1)] = -np.inf
    best, cuts = between[0], []
    for _ in range(classes - 1):  # best[b]: with one class more, over bins 0..b-1
        total = best[:, None] + between
        cuts.append(total.argmax(0))
        best = total.max(0)
    place, found = _BINS, []
    for cut in reversed(cuts):
        place = int(cut[place])
        found.append(edges[place])
    return np.array(found[::-1])


def otsu(volume: Volume, classes: int | Sequence[LabelClass] = 3) -> Labels:
    """Labels of a volume by thresholds alone, from dark to bright in the order of the classes."""
    named = numbered(range(classes)) if isinstance(classes, int) else tuple(classes)
    thresholds = otsu_thresholds(_sample(volume.values), len(named))
    table = np.array([each.value for each in named], np.uint8)
    labels = scratch(volume.shape, np.uint8)
    for index, plane in enumerate(volume.values):
        labels[index] = table[np.digitize(plane, thresholds)]
    return Labels(labels, volume.pixel_size_nm, volume.source, dict(volume.metadata), volume.history, named)


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest taught the painted voxels of a volume; it answers slice by slice."""

    classes: tuple[LabelClass, ...]
    axis: AxisName
    grey: GreyRange
    trees: Any

    @classmethod
    def taught(cls, volume: Volume, labels: Labels, seed: int = 0) -> Forest:
        """Forest of what is painted. Raises UserError where shapes differ or fewer than two classes are painted."""
        classes = classes_of(labels)
        axis = painted_axis(labels.values)
        return cls.of([taught(volume, labels, classes, axis)], classes, axis, seed)

    @classmethod
    def of(cls, items: Sequence[Taught], classes: tuple[LabelClass, ...], axis: AxisName, seed: int = 0) -> Forest:
        """Forest of one or many volumes; at most 12,000 voxels of each class, evenly out of all of them."""
        from sklearn.ensemble import RandomForestClassifier

        random = np.random.default_rng(seed)
        seen, truth = zip(*(_samples(item, len(classes), random, len(items)) for item in items), strict=True)
        trees = RandomForestClassifier(_TREES, max_depth=_DEPTH, min_samples_leaf=2, random_state=seed, n_jobs=1)
        trees.fit(np.concatenate(seen), np.concatenate(truth))
        return cls(classes, axis, items[0].grey, trees)

    def probabilities(self, item: Taught, index: int) -> npt.NDArray[np.float32]:
        """Probabilities (classes, rows, columns) of one slice of a volume whose slices' axis is first."""
        features = slice_features(item, index)
        chance = self.trees.predict_proba(features.reshape(-1, features.shape[-1]))
        result = np.zeros((len(self.classes), *features.shape[:2]), np.float32)
        for column, place in enumerate(self.trees.classes_):
            result[place] = chance[:, column].reshape(features.shape[:2])
        return result

    def slice_labels(self, volume: Volume, index: int) -> npt.NDArray[np.uint8]:
        """Values of classes (rows, columns) of one slice across :attr:`axis`: the preview while painting."""
        best = self.probabilities(self._shown(volume), index).argmax(0)
        return np.asarray(self._table[best], np.uint8)

    def segment(self, volume: Volume, report: Report) -> Labels:
        """Labels of a whole volume; its own grey levels are normalised. May raise Cancelled."""
        item = replace(self._shown(volume), grey=GreyRange.of(volume.values))
        labels = scratch(volume.shape, np.uint8)
        out = np.moveaxis(labels, AXES.index(self.axis), 0)
        for index in range(len(out)):
            report.progress(index / len(out), "Random forest")
            out[index] = self._table[self.probabilities(item, index).argmax(0)]
        return Labels(
            labels, volume.pixel_size_nm, volume.source, dict(volume.metadata), volume.history, self.classes
        )  # fmt: skip

    @property
    def _table(self) -> npt.NDArray[np.uint8]:
        return np.array([each.value for each in self.classes], np.uint8)

    def _shown(self, volume: Volume) -> Taught:
        values = np.moveaxis(volume.values, AXES.index(self.axis), 0)
        return Taught(values, np.zeros((0, 0, 0), np.uint8), self.grey)


def forest(volume: Volume, labels: Labels, report: Report | None = None, seed: int = 0) -> Labels:
    """Labels of a whole volume by a random forest taught what is painted of it."""
    return Forest.taught(volume, labels, seed).segment(volume, report or Report())


def _samples(
    item: Taught, classes: int, random: np.random.Generator, items: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Features (n, features) and classes (n,) of labelled voxels."""
    touched = [index for index, plane in enumerate(item.labels) if (plane != IGNORE).any()]
    if len(touched) > 24:
        touched = sorted(random.choice(touched, 24, replace=False).tolist())
    most = max(20, _MOST_A_CLASS // max(1, items * len(touched)))
    seen, truth = [], []
    for index in touched:
        features = slice_features(item, index)
        for value in range(classes):
            rows, columns = np.nonzero(item.labels[index] == value)
            if len(rows) > most:
                chosen = random.choice(len(rows), most, replace=False)
                rows, columns = rows[chosen], columns[chosen]
            seen.append(features[rows, columns])
            truth.append(np.full(len(rows), value, np.uint8))
    return np.concatenate(seen), np.concatenate(truth)


def _sample(values: Array) -> Array:
    step = max(1, int(np.ceil((values.size / 4e6) ** (1 / 3))))
    return np.asarray(values[::step, ::step, ::step])
