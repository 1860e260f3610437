"""Figures of *Find defects*: ``atomseg bench defects``.

Columns are found in the image alone, then their lattice, then its defects, all with nothing set.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from atomseg_app import operations
from atomseg_app.atoms.defect_operations import BOUNDARY, DEFECTS, DISLOCATION, FIND_DEFECTS, NO_DEFECT
from atomseg_app.benchmarks.columns import find
from atomseg_app.benchmarks.defect_scenes import KINDS, SOUND, DefectScene, scene
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import Columns, Image
from atomseg_app.operations import Report

_IMAGES, _PERFECT = 200, 200
_SURE = 4.0  # standard errors: what changes less counts neither way
_MATCH = 0.35  # of the nearest-neighbour distance
_DEFECT_CODES = [code for code in range(len(DEFECTS)) if code not in (NO_DEFECT, DISLOCATION, BOUNDARY)]


def run() -> int:
    """Print all tables. Returns 0."""
    _multislice()
    _simulated()
    _false_alarms()
    return 0


def defects_of(columns: Columns, image: Image, **parameters: float) -> Columns:
    """The operation as a user runs it."""
    found = operations.run(FIND_DEFECTS, (image, columns), FIND_DEFECTS.parse(parameters), Report())
    assert isinstance(found, Columns)
    return found


def compared(truth: DefectScene, found: Columns) -> dict[str, tuple[int, int]]:
    """For each kind of defect how many there are above four standard errors and how many were found; as ``false`` the
    number of rows called defects, and of these the ones that are none.
    """
    points = np.stack([truth.perfect.x_px, truth.perfect.y_px], axis=1)
    reach = _MATCH * float(np.median(cKDTree(points).query(points, 2)[0][:, 1]))
    called = np.isin(found.table["defect"], _DEFECT_CODES)
    xy = found.xy_px[called]
    distance, to = cKDTree(points).query(xy) if len(xy) else (np.zeros(0), np.zeros(0, np.int64))
    right = (distance < reach) & (truth.kind[to] != SOUND)
    hit = np.zeros(len(points), bool)
    hit[to[right]] = True
    wanted = truth.inside & (truth.kind != SOUND) & (truth.change > _SURE)
    counts = {
        name: (int((wanted & (truth.kind == kind)).sum()), int((wanted & hit & (truth.kind == kind)).sum()))
        for kind, name in enumerate(KINDS)
        if kind != SOUND
    }
    weak = right & (truth.change[to] <= _SURE)
    return {**counts, "false": (int((~weak).sum()), int((~right).sum()))}


def _simulated() -> None:
    total: dict[str, np.ndarray] = {}  # type: ignore[type-arg]
    for seed in range(_IMAGES):
        made = scene(seed)
        for name, pair in compared(made, defects_of(find(made.values), Image(made.values))).items():
            total[name] = total.get(name, np.zeros(2, int)) + np.array(pair)
    called, false = total.pop("false")
    every = sum(total.values(), np.zeros(2, int))
    rows = [[name, int(there), int(found), found / max(there, 1), ""] for name, (there, found) in total.items()]
    rows.append(["all", int(every[0]), int(every[1]), every[1] / every[0], 1 - false / called])
    print_table(
        f"Defects whose intensity change exceeds {_SURE:g} standard errors in {_IMAGES} simulated images: six lattices, "
        "60-100 sites,\nthickness and background ramps, 20-500 counts at the peak, natural scatter to 3 %. Smaller changes "
        "count neither way.",
        ["defect", "there", "found", "recall", "precision"],
        rows,
    )


def _false_alarms() -> None:
    declared = (0.1, 0.2, 1.0, 3.0)
    number = np.zeros(len(declared))
    for seed in range(_PERFECT):
        made = scene(10_000 + seed, defects=0.0)
        image, columns = Image(made.values), find(made.values)
        for place, alarms in enumerate(declared):
            table = defects_of(columns, image, false_alarms=alarms).table
            number[place] += np.isin(table["defect"], _DEFECT_CODES).sum()
    rows = [[alarms, float(count / _PERFECT)] for alarms, count in zip(declared, number, strict=True)]
    print_table(
        f"False alarms an image in {_PERFECT} simulated images without defects.", ["declared", "measured"], rows
    )


def _multislice() -> None:
    folder = os.environ.get("ATOMSEG_TEST_DATA")
    path = Path(folder or ".") / "micrographs" / "abtem_sto_001_haadf.npz"
    if not path.is_file():
        print_table(
            "Multislice SrTiO3: ATOMSEG_TEST_DATA names no folder with micrographs/abtem_sto_001_haadf.npz.", ["file"], []
        )
        return
    rows = []
    with np.load(path, allow_pickle=False) as file:
        truth, pixel_A = file["truth_xyA_Z_n_flag"], float(file["sampling_A"])
        for dose in (3000, 600, 150):
            image = Image(file[f"poisson_{dose}e_per_px"].astype(np.float32), (pixel_A / 10,) * 2)
            table = defects_of(find(image.values), image).table
            called = np.isin(table["defect"], _DEFECT_CODES)
            xy = np.stack([table["x_px"], table["y_px"]], axis=1)[called]
            distance, to = cKDTree(truth[:, :2] / pixel_A).query(xy)
            right = (truth[to, 4] > 0) & (distance < 0.1 / pixel_A * 10)
            rows.append([dose, int((truth[:, 4] > 0).sum()), len(set(to[right])), int((~right).sum())])
    print_table(
        "Multislice SrTiO3 [001], 10 atoms thick, columns displaced at random: 4 Sr columns with vacancies, 2 with dopants.",
        ["electrons per pixel", "defects", "found", "false"],
        rows,
    )
