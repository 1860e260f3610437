"""``atomseg bench segmentation``: simulated catalysts of unseen seeds by baselines and the bundled networks, and what
is measured of them; ``atomseg bench painting`` is what needs training.

The environment says how many volumes (``ATOMSEG_BENCH_VOLUMES``, 8) of how many voxels a side (``ATOMSEG_BENCH_SIZE``,
128).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from atomseg_app.benchmarks.options import SIZE_VARIABLE, number
from atomseg_app.benchmarks.segmentation_speed import speed
from atomseg_app.benchmarks.segmentation_truth import Matching, match, particle_sizes, spheres
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_least, at_most, print_bars
from atomseg_app.data import Array, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.segmentation.baselines import Forest, otsu
from atomseg_app.segmentation.dataset import taught
from atomseg_app.segmentation.instances import split
from atomseg_app.segmentation.metrics import Counts, confusion_by_slice
from atomseg_app.segmentation.operations import DEFAULT_MODEL, Segment
from atomseg_app.segmentation.predict import load_network, predict
from atomseg_app.simulate.catalyst import Catalyst, make_catalyst
from atomseg_app.simulate.catalyst_preset import CATALYST_CLASSES, METAL, PORES, SUPPORT

FIRST_SEED = 10**12
"""Training takes seeds below 10^10."""
_TO_TEACH, _TAUGHT = FIRST_SEED + 10_000, 3  # volumes that the forest learns from
MODELS = (f"{DEFAULT_MODEL}-unet", f"{DEFAULT_MODEL}-attention", DEFAULT_MODEL)
VALID = (0.75, 0.82)
"""Dice of the best single threshold for metal, of 0.788 on the published patches, that makes a set as hard as those."""
_CLASSES = (PORES, SUPPORT, METAL)
_BARS = {SUPPORT: 0.963, METAL: 0.90, PORES: 0.992}
_LEAST_VOXELS = 20
Histogram = npt.NDArray[np.int64]


@dataclass
class Scored:
    """What one method made of all volumes."""

    matrix: Counts = field(default_factory=lambda: np.zeros((3, 4), np.int64))
    of_volumes: list[list[float]] = field(default_factory=list)
    particles: list[Matching] = field(default_factory=list)

    def add(self, found: Array, made: Catalyst) -> None:
        """Take the labels of one more volume in."""
        one = confusion_by_slice(found, made.labels.values, _CLASSES, Report()).sum(axis=0)
        self.matrix += one
        self.of_volumes.append([dice(one, value) for value in _CLASSES])
        self.particles.append(match(split(found == METAL, least_voxels=_LEAST_VOXELS), made.particles))


def run() -> int:
    """Print all tables; 1 where a bar was missed."""
    volumes = number("ATOMSEG_BENCH_VOLUMES", 8)
    side = number(SIZE_VARIABLE, 128, 32)
    made = [make_catalyst(FIRST_SEED + k, (side,) * 3) for k in range(volumes)]
    histogram = grey_levels(made)
    bars = [*_validity(histogram, made), *_segmented(made, histogram), *particle_sizes(), *spheres()]
    if _is_bundled(DEFAULT_MODEL):
        bars += speed()
    return 0 if print_bars("3D segmentation: what was to be reached", bars) else 1


def dice(matrix: Counts, value: int) -> float:
    """Dice of a class from a confusion matrix (true, found); NaN where it is absent."""
    both = int(matrix[:, value].sum() + matrix[value].sum())
    return 2 * int(matrix[value, value]) / both if both else float("nan")


def grey_levels(made: list[Catalyst]) -> Histogram:
    """Voxels (class, grey level) of all volumes."""
    counts = np.zeros((3, 256), np.int64)
    for each in made:
        for value in _CLASSES:
            counts[value] += np.bincount(each.volume.values[each.labels.values == value], minlength=256)
    return counts


def best_threshold(histogram: Histogram) -> tuple[int, float]:
    """Grey level from which on everything is called metal, for the best Dice, and that."""
    found, hit = (np.cumsum(each[::-1])[::-1] for each in (histogram.sum(axis=0), histogram[METAL]))
    values = 2 * hit / np.maximum(found + histogram[METAL].sum(), 1)
    best = int(values.argmax())
    return best, float(values[best])


def _validity(histogram: Histogram, made: list[Catalyst]) -> list[Bar]:
    """How near the set is to the published patches."""
    levels = np.arange(256)
    shares = 100 * histogram.sum(axis=1) / histogram.sum()
    means = (histogram * levels).sum(axis=1) / histogram.sum(axis=1)
    widths = [float(np.sqrt((h * (levels - m) ** 2).sum() / h.sum())) for h, m in zip(histogram, means, strict=True)]
    dark = int(np.searchsorted(np.cumsum(histogram[METAL]) / histogram[METAL].sum(), 0.05))
    ring, sizes = _surroundings(made)
    _, threshold = best_threshold(histogram)
    published = {PORES: "79-84 / 8.6 ± 11", SUPPORT: "15-20 / 59 ± 20", METAL: "0.25-0.33 / 205 ± 57"}
    rows: list[list[object]] = [
        [
            f"{name}: share in % / grey level",
            published[value],
            f"{shares[value]:.3g} / {means[value]:.3g} ± {widths[value]:.2g}",
        ]
        for value, name in ((PORES, "pores"), (SUPPORT, "support"), (METAL, "metal"))
    ]
    rows += [
        ["metal: 5 % of it is darker than", 97, dark],
        [
            "sections of particles: diameter in px, 5 / 50 / 95 %",
            "7.8 / 13.8 / 23",
            " / ".join(f"{s:.3g}" for s in sizes),
        ],
        ["ring of 2 px round metal: pores in %", 78, ring],
        ["metal by the best single threshold: Dice", 0.788, threshold],
    ]
    print_table(
        f"The set: {len(made)} simulated tomograms of {made[0].volume.shape[0]}^3 voxels, unseen seeds; families "
        + ", ".join(sorted({each.family for each in made})),
        ["what", "published patches", "this set"], rows,
    )  # fmt: skip
    return [Bar("the set is valid: Dice of the best threshold", f"{VALID[0]} to {VALID[1]}", f"{threshold:.4g}",
                VALID[0] <= threshold <= VALID[1])]  # fmt: skip


def _surroundings(made: list[Catalyst]) -> tuple[float, list[float]]:
    """Share of pores in % in the ring of 2 px round metal; quantiles of the diameters of sections across y."""
    from scipy import ndimage

    empty = solid = 0
    diameters: list[float] = []
    for each in made:
        labels = each.labels.values
        metal = labels == METAL
        ring = ndimage.binary_dilation(metal, iterations=2) & ~metal
        empty += int(np.count_nonzero(labels[ring] == PORES))
        solid += int(np.count_nonzero(labels[ring] == SUPPORT))
        for y in range(0, labels.shape[1], 4):
            parts, _ = ndimage.label(metal[:, y])
            areas = np.bincount(parts.ravel())[1:]
            diameters += np.sqrt(4 * areas[areas >= 9] / np.pi).tolist()
    sizes = [float(each) for each in np.percentile(diameters, [5, 50, 95])] if diameters else [float("nan")] * 3
    return 100 * empty / max(1, empty + solid), sizes


def _segmented(made: list[Catalyst], histogram: Histogram) -> list[Bar]:
    """Baselines and networks on the same volumes."""
    threshold = best_threshold(histogram)[0]
    methods: dict[str, Callable[[Volume], Array]] = {
        f"best threshold ({threshold}; metal only)": lambda volume: np.where(volume.values >= threshold, METAL, PORES),
        "Otsu, 3 classes": lambda volume: otsu(volume, CATALYST_CLASSES).values,
    }
    teaching = [make_catalyst(_TO_TEACH + k, made[0].volume.shape) for k in range(_TAUGHT)]
    items = [taught(each.volume, each.labels, CATALYST_CLASSES, "y") for each in teaching]
    forest = Forest.of(items, CATALYST_CLASSES, "y")
    methods["random forest"] = lambda volume: forest.segment(volume, Report()).values
    missing = [name for name in MODELS if not _is_bundled(name)]
    for name in MODELS:
        if name not in missing:
            methods[name] = lambda volume, name=name: _by_network(volume, name).values  # type: ignore[misc]
    scored = {name: _scored(method, made) for name, method in methods.items()}
    print_table(
        f"Dice on the set, pooled (mean of volumes ± spread for metal); the forest is taught {_TAUGHT} whole volumes. "
        f"{'Not bundled: ' + ', '.join(missing) + '.' if missing else ''}",
        [
            "method",
            "support",
            "metal",
            "pores",
            "metal by volume",
            "particles: true / found / matched",
            "mean |diameter error| %",
        ],
        [_row(name, each) for name, each in scored.items()],
    )
    print_table(
        "Published, on their own data", ["network", "support", "metal", "pores"],
        [["U-Net", 0.963, 0.844, 0.992], ["attention", 0.963, 0.864, 0.992], ["and residual", 0.964, 0.872, 0.993]],
    )  # fmt: skip
    if DEFAULT_MODEL not in scored:
        return [Bar(f"bundled network {DEFAULT_MODEL!r}", "is there", "missing", reached=False)]
    ours = scored[DEFAULT_MODEL].matrix
    bars = [
        at_least(f"Dice of {CATALYST_CLASSES[value].name}", limit, dice(ours, value)) for value, limit in _BARS.items()
    ]
    best = max(dice(scored[name].matrix, METAL) for name in methods if name not in MODELS)
    return [
        *bars,
        at_most("error of metal against the best baseline's", 0.5, (1 - dice(ours, METAL)) / (1 - best), "times"),
    ]


def _is_bundled(name: str) -> bool:
    try:
        load_network(name, "auto", Report())
    except UserError:
        return False
    return True


def _scored(method: Callable[[Volume], Array], made: list[Catalyst]) -> Scored:
    scored = Scored()
    for each in made:
        scored.add(np.asarray(method(each.volume), np.uint8), each)
    return scored


def _by_network(volume: Volume, name: str) -> Labels:
    return predict(volume, Segment(model=name), Report()).labels


def _row(name: str, scored: Scored) -> list[object]:
    metal = np.array([each[METAL] for each in scored.of_volumes])
    errors = [abs(error) for each in scored.particles for error in each.errors]
    counts = [sum(getattr(each, what) for each in scored.particles) for what in ("true", "found", "matched")]
    return [
        name, dice(scored.matrix, SUPPORT), dice(scored.matrix, METAL), dice(scored.matrix, PORES),
        f"{np.nanmean(metal):.3f} ± {np.nanstd(metal):.3f}", " / ".join(map(str, counts)),
        100 * float(np.mean(errors)) if errors else float("nan"),
    ]  # fmt: skip
