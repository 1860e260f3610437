"""Figures of *Find defects*: ``atomseg bench defects``.

Columns are found in the image alone by the classical detection, then their lattice, then its defects.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from atomseg_app import operations
from atomseg_app.atoms.defect_operations import BOUNDARY, DEFECTS, DISLOCATION, FIND_DEFECTS, NO_DEFECT
from atomseg_app.atoms.operations import FIND_COLUMNS
from atomseg_app.benchmarks.defect_scenes import KINDS, SOUND, DefectScene, scene
from atomseg_app.benchmarks.table import cores, print_table
from atomseg_app.data import Columns, Image
from atomseg_app.operations import Report

_IMAGES, _PERFECT, _PERFECT_SEED = 200, 100, 10_000
DECLARED = (0.1, 0.2, 1.0, 3.0)
"""False alarms an image that are asked for."""
_SURE = 4.0  # standard errors: what changes less counts neither way
_MATCH = 0.35  # of the nearest-neighbour distance
_MATCH_A = 1.0  # in the multislice image
_DEFECT_CODES = [code for code in range(len(DEFECTS)) if code not in (NO_DEFECT, DISLOCATION, BOUNDARY)]


def run() -> int:
    """Print all tables. Returns 0."""
    _multislice()
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        _simulated(pool)
        _false_alarms(pool)
    return 0


def find(image: Image) -> Columns:
    """Columns by the classical detection, so that no figure here hangs on a network's weights."""
    found = operations.run(FIND_COLUMNS, (image,), FIND_COLUMNS.parse({"method": "log"}), Report())
    assert isinstance(found, Columns)
    return found


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


def of_scene(seed: int) -> dict[str, tuple[int, int]]:
    """:func:`compared` for one simulated image with defects."""
    made = scene(seed)
    return compared(made, defects_of(find(Image(made.values)), Image(made.values)))


def alarms_of_scene(seed: int) -> list[int]:
    """Columns and sites called defects in one simulated image without any, for each of :data:`DECLARED`."""
    made = scene(seed, defects=0.0)
    image = Image(made.values)
    columns = find(image)
    tables = [defects_of(columns, image, false_alarms=alarms).table for alarms in DECLARED]
    return [int(np.isin(table["defect"], _DEFECT_CODES).sum()) for table in tables]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _simulated(pool: ProcessPoolExecutor) -> None:
    total: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for result in pool.map(of_scene, range(_IMAGES), chunksize=4):
        for name, (all_of_them, found) in result.items():
            there[name] += all_of_them
            total[name] += found
    called, false = there.pop("false"), total.pop("false")
    rows: list[list[object]] = [[name, there[name], total[name], total[name] / there[name], ""] for name in there]
    every, found = sum(there.values()), sum(total.values())
    rows.append(["all", every, found, found / every, 1 - false / called])
    print_table(
        f"Defects whose intensity changes by more than {_SURE:g} standard errors in {_IMAGES} simulated images: six "
        "lattices, 45-100\nsites, ramps of thickness and background, 20-500 counts at the peak, scatter to 3 %.\n"
        "Smaller changes count neither way.",
        ["defect", "there", "found", "recall", "precision"],
        rows,
    )


def _false_alarms(pool: ProcessPoolExecutor) -> None:
    counts = np.array(list(pool.map(alarms_of_scene, range(_PERFECT_SEED, _PERFECT_SEED + _PERFECT), chunksize=4)))
    error = np.sqrt(counts.sum(axis=0)) / _PERFECT
    rows = list(zip(DECLARED, counts.mean(axis=0).tolist(), error.tolist(), strict=True))
    print_table(
        f"False alarms an image in {_PERFECT} simulated images without defects.", ["declared", "measured", "+-"], rows
    )


def _multislice() -> None:
    folder = os.environ.get("ATOMSEG_TEST_DATA")
    path = Path(folder or ".") / "micrographs" / "abtem_sto_001_haadf.npz"
    if not path.is_file():
        print_table(
            "Multislice SrTiO3: ATOMSEG_TEST_DATA names no folder with micrographs/abtem_sto_001_haadf.npz.",
            ["file"],
            [],
        )
        return
    rows = []
    with np.load(path, allow_pickle=False) as file:
        truth, pixel_A = file["truth_xyA_Z_n_flag"], float(file["sampling_A"])
        for dose in (3000, 600, 150):
            image = Image(file[f"poisson_{dose}e_per_px"].astype(np.float32), (pixel_A / 10,) * 2)
            table = defects_of(find(image), image).table
            called = np.isin(table["defect"], _DEFECT_CODES)
            xy = np.stack([table["x_px"], table["y_px"]], axis=1)[called]
            distance, to = cKDTree(truth[:, :2] / pixel_A).query(xy)
            right = (truth[to, 4] > 0) & (distance < _MATCH_A / pixel_A)
            rows.append([dose, int((truth[:, 4] > 0).sum()), len(set(to[right])), int((~right).sum())])
    print_table(
        "Multislice SrTiO3 [001], 10 atoms thick, columns displaced at random: 4 Sr columns with vacancies, 2 with "
        "dopants.",
        ["electrons per pixel", "defects", "found", "false"],
        rows,
    )
