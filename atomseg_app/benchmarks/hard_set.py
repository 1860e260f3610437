"""The mixed hard set: unseen structures, steps, wedges, weak columns and jittered lines, and how well it is solved.

The composition is ``HARD_SET`` of ``simulate/preset.py``, written down before any network was trained. Pictures come
without a calibration and no parameter is touched. Truth is where columns stand before the scan lines jitter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app import operations
from atomseg_app.atoms.operations import FIND_COLUMNS
from atomseg_app.benchmarks.matching import Score, match_radius, nearest_spacing, score
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import HARD_SET, Preset
from atomseg_app.simulate.simulator import Simulator

Floats = npt.NDArray[np.float64]
Result = TypeVar("Result")

PICTURES, SEED, LEAST_SNR = 512, 2024, 5.0
COUNT_VARIABLE = "ATOMSEG_BENCH_PICTURES"
"""Environment variable that names a smaller number of pictures, for a quick look."""

F1_WANTED, ERRORS_WANTED = 0.97, 0.5
_BATCH = 4


@dataclass(frozen=True)
class Picture:
    """One simulated picture (y, x) with its true columns: places (n, 2) in px, signal-to-noise (n,), width in px.

    ``clean`` is what the counts of ``values`` fluctuate round, ``narrow`` the columns alone through half the probe.
    """

    number: int
    name: str
    values: npt.NDArray[np.float32]
    clean: npt.NDArray[np.float32]
    narrow: npt.NDArray[np.float32]
    xy_px: Floats
    snr: Floats
    sigma_px: float
    pm_per_px: float
    dose: float


@dataclass(frozen=True)
class Found:
    """Places (n, 2) that a finder names, in px, and the column width that it went by (NaN if it tells none)."""

    xy_px: Floats
    sigma_px: float = float("nan")


Finder = Callable[[Picture], Found]


@dataclass(frozen=True)
class Find:
    """*Find columns* with nothing set but the method and whether the columns are fitted."""

    method: str
    refine: bool = True

    def __call__(self, picture: Picture) -> Found:
        """Columns of a picture."""
        columns = found_columns(picture.values, method=self.method, refine=self.refine)
        width = float(np.median(columns.table["sigma_px"])) if len(columns) else float("nan")
        return Found(columns.xy_px, width)


FINDERS: dict[str, Finder] = {
    "network + fit": Find("network"),
    "network alone": Find("network", refine=False),
    "classical: LoG + fit": Find("log"),
    "LoG alone": Find("log", refine=False),
    "circular Hough alone": Find("hough", refine=False),
}
OURS = ("network + fit", "network alone")


@dataclass(frozen=True)
class Outcome:
    """What one finder made of one picture: score, processor seconds, and the width that it went by."""

    score: Score
    cpu_s: float
    sigma_px: float


def pictures_wanted(usual: int = PICTURES) -> int:
    """Number of pictures: the usual one, or fewer where the environment says so. Raises UserError for no number."""
    text = os.environ.get(COUNT_VARIABLE, str(usual))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{COUNT_VARIABLE} is {text!r}; give a number of pictures, 1 or more, or leave it out.")
    return min(usual, int(text))


def pictures(count: int = PICTURES, preset: Preset = HARD_SET, seed: int = SEED) -> list[Picture]:
    """The first so many pictures of a set, drawn on the CPU, where a seed always gives the same."""
    simulator = Simulator(preset, seed, torch.device("cpu"))
    made: list[Picture] = []
    while len(made) < count:
        batch = simulator.batch(_BATCH)
        truth = batch.truth
        for index in range(_BATCH):
            mine = truth.image == index
            places = torch.stack([truth.x_px[mine], truth.y_px[mine]], 1).double().numpy()
            picture = Picture(
                number=len(made),
                name=batch.names[index],
                values=batch.image[index].numpy().copy(),
                clean=batch.clean[index].numpy().copy(),
                narrow=batch.narrow[index].numpy().copy(),
                xy_px=places,
                snr=batch.snr[mine].double().numpy(),
                sigma_px=float(batch.sigma_px[index]),
                pm_per_px=float(batch.pm_per_px[index]),
                dose=float(batch.dose[index]),
            )
            made.append(picture)
    return made[:count]


def found_columns(values: npt.NDArray[Any], **parameters: object) -> Columns:
    """The operation as a user runs it, on an image without calibration."""
    found = operations.run(FIND_COLUMNS, (Image(values),), FIND_COLUMNS.parse(parameters), Report())
    assert isinstance(found, Columns)
    return found


def outcomes(finders: Mapping[str, Finder], picture: Picture) -> dict[str, Outcome]:
    """What each finder makes of a picture. Columns too weak to be told from noise count neither way."""
    results = {}
    for name, finder in finders.items():
        began = time.process_time()
        found = finder(picture)
        seconds = time.process_time() - began
        results[name] = Outcome(scored(picture, found.xy_px), seconds, found.sigma_px)
    return results


def scored(picture: Picture, found_px: Floats) -> Score:
    """Score of places (n, 2) in a picture."""
    radius = match_radius(nearest_spacing(picture.xy_px))
    return score(found_px, picture.xy_px, radius, picture.snr < LEAST_SNR)


def each(function: Callable[[Picture], Result], items: Sequence[Picture], pool: Executor | None) -> list[Result]:
    """Answers for all pictures, in order, from the processes of a pool if there is one."""
    return list(map(function, items) if pool is None else pool.map(function, items))


def evaluate(
    finders: Mapping[str, Finder], items: Sequence[Picture], pool: Executor | None = None
) -> dict[str, list[Outcome]]:
    """Outcomes of every finder, picture by picture."""
    results = each(partial(outcomes, dict(finders)), items, pool)
    return {name: [result[name] for result in results] for name in finders}


def tell(results: Mapping[str, Sequence[Outcome]], absent: Sequence[str] = ()) -> bool:
    """Print the table, with the names of finders that are ``absent``; True if ours falls short of what is wanted."""
    totals = {name: Score.total(outcome.score for outcome in found) for name, found in results.items()}
    rows: list[list[object]] = [
        [
            name, total.precision, total.recall, total.f1, total.rms_px,
            float(np.mean([outcome.cpu_s for outcome in results[name]])),
        ]
        for name, total in totals.items()
    ]  # fmt: skip
    rows += [[name, "not trained yet", "", "", "", ""] for name in absent]
    count = len(next(iter(results.values())))
    print_table(
        f"Hard set: {count} of {PICTURES} pictures 256 x 256 of structures that no network was trained on, 4-40\n"
        f"pm/px, no calibration given. Truth: columns of signal-to-noise >= {LEAST_SNR:g}, weaker ones count neither\n"
        "way; matched within min(0.3 spacing, 3 px). rms: of a coordinate, line jitter included.",
        ["finder", "precision", "recall", "F1", "rms (px)", "processor (s/image)"],
        rows,
    )
    others = [1 - total.f1 for name, total in totals.items() if name not in OURS]
    ours = 1 - totals[OURS[0]].f1
    return not (ours <= 1 - F1_WANTED and ours <= ERRORS_WANTED * min(others, default=1.0))
