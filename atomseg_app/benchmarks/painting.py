"""``atomseg bench painting``: networks trained on what a user paints, and the three architectures side by side.

The environment says how many minutes each trains (``ATOMSEG_BENCH_MINUTES``, 20), how many seeds
(``ATOMSEG_BENCH_SEEDS``, 3), how many voxels a side (``ATOMSEG_BENCH_SIZE``, 128), and which parts are run
(``ATOMSEG_BENCH_PARTS``: painted, architectures).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np

from atomseg_app.benchmarks.options import SIZE_VARIABLE, number, parts
from atomseg_app.benchmarks.segmentation import FIRST_SEED, dice
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most, print_bars
from atomseg_app.data import Array, Labels
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.metrics import confusion_by_slice
from atomseg_app.segmentation.operations import Segment
from atomseg_app.segmentation.predict import predict
from atomseg_app.segmentation.settings import ArchitectureName, TrainSegmentation
from atomseg_app.segmentation.training import train_segmentation
from atomseg_app.simulate.catalyst import Catalyst, make_catalyst, unseen_catalyst
from atomseg_app.simulate.catalyst_preset import METAL, PORES, SUPPORT

_PAINTED = 5
_ALLOWED = 0.03
_METAL = 0.001  # share of the voxels that must be metal, or little can be said of it
_GAP = 4  # slices between those that teach and those that judge
_CLASSES = (PORES, SUPPORT, METAL)


def run() -> int:
    """Print both tables; 1 where the bar was missed. Raises UserError for other parts."""
    side = number(SIZE_VARIABLE, 128, 64)
    minutes, seeds = number("ATOMSEG_BENCH_MINUTES", 20), number("ATOMSEG_BENCH_SEEDS", 3)
    asked = parts(["painted", "architectures"])
    bars = painted_slices(side, minutes, seeds) if "painted" in asked else []
    if "architectures" in asked:
        architectures(side, minutes, seeds)
    return 0 if print_bars("Painting: what was to be reached", bars) else 1


def painted_slices(side: int, minutes: int, seeds: int) -> list[Bar]:
    """Five painted slices of a kind of support that no bundled network knows, against all slices painted."""
    rows: list[list[object]] = []
    short: list[float] = []
    first = 2 * side // 3
    judged = np.arange(first + _GAP, side)
    for seed, made in _with_metal(unseen_catalyst, FIRST_SEED + 20_000, seeds, side, first):
        found = {
            name: _trained(made, labels, judged, TrainSegmentation(minutes=minutes, seed=seed, axis="y"))
            for name, labels in (("few", painted(made, first, _PAINTED)), ("all", painted(made, first, first)))
        }
        short.append(found["all"][METAL] - found["few"][METAL])
        rows.append([seed, *(f"{found[name][value]:.4f}" for value in (METAL, SUPPORT) for name in ("few", "all")),
                     short[-1]])  # fmt: skip
    print_table(
        f"{_PAINTED} painted slices of a volume of {side}^3 voxels, channels in a solid: Dice on its last third, "
        f"{minutes} minutes of training; the same network taught all slices of the other two thirds.",
        ["seed", "metal: 5 slices", "metal: all", "support: 5 slices", "support: all", "metal short by"], rows,
    )  # fmt: skip
    return [
        at_most(f"metal: Dice short of training on all slices, mean of {seeds} seeds", _ALLOWED, float(np.mean(short)))
    ]


def architectures(side: int, minutes: int, seeds: int) -> None:
    """The three architectures on the same data: one half of a volume teaches, the other judges."""
    rows: list[list[object]] = []
    for architecture in get_args(ArchitectureName):
        scores = []
        half = side // 2
        for seed, made in _with_metal(make_catalyst, FIRST_SEED + 30_000, seeds, side, half):
            settings = TrainSegmentation(architecture=architecture, minutes=minutes, seed=seed, axis="y")
            scores.append(_trained(made, painted(made, half, half), np.arange(half + _GAP, side), settings))
        found = np.array(scores)
        rows.append([architecture, *(f"{found[:, v].mean():.4f} ± {found[:, v].std():.4f}" for v in _CLASSES[::-1])])
    print_table(
        f"The architectures on the same data: one half of a volume of {side}^3 voxels teaches, Dice on the other; "
        f"{minutes} minutes each, {seeds} seeds, spread over them.",
        ["architecture", "metal", "support", "pores"], rows,
    )  # fmt: skip


def _with_metal(
    make: Callable[[int, tuple[int, int, int]], Catalyst], first_seed: int, count: int, side: int, first: int
) -> Iterator[tuple[int, Catalyst]]:
    """So many volumes with their seeds, counted from the first: those with metal both where is taught and judged."""
    found = 0
    for seed in itertools.count():
        made = make(first_seed + seed, (side,) * 3)
        metal = made.labels.values == METAL
        if min(metal[:, :first].mean(), metal[:, first + _GAP :].mean()) >= _METAL:
            yield seed, made
            found += 1
        if found == count:
            return


def painted(made: Catalyst, first: int, count: int) -> Labels:
    """Labels of so many of the ``first`` slices across y, spread evenly over those that show metal; others ignored.

    All of the first slices where no fewer are asked for.
    """
    truth = made.labels.values
    values = np.full_like(truth, IGNORE)
    choice = np.arange(first)
    if count < first:
        with_metal = np.flatnonzero((truth[:, :first] == METAL).any(axis=(0, 2)))
        choice = with_metal if len(with_metal) >= count else choice
        choice = choice[np.linspace(0, len(choice) - 1, count + 2).round().astype(int)[1:-1]]
    values[:, choice] = truth[:, choice]
    return replace(made.labels, values=values)


def _trained(made: Catalyst, labels: Labels, judged: Array, settings: TrainSegmentation) -> list[float]:
    """Dice of each class on the slices across y that judge."""
    with tempfile.TemporaryDirectory() as folder:
        model = train_segmentation(made.volume, labels, settings, Path(folder), Report())
        found = predict(made.volume, Segment(model=str(model.card_path)), Report()).labels.values
        matrix = confusion_by_slice(found[:, judged], made.labels.values[:, judged], _CLASSES, Report()).sum(axis=0)
    return [dice(matrix, value) for value in _CLASSES]
