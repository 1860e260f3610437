"""The methods of the papers, trained here, side by side with ours: as measured, each with what it was trained with."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch

from atomseg_app.benchmarks import wedge_networks
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.wedge_classical import back_projection, tv
from atomseg_app.benchmarks.wedge_networks import Fill
from atomseg_app.benchmarks.wedge_scenes import COUNTED, EXACT, FAMILIES, Condition, scene, wedge_tilts
from atomseg_app.networks.image_losses import decibels, similarity

CASES = tuple((wedge, condition) for condition in (EXACT, COUNTED) for wedge in (45.0, 60.0))
_MARK = " (*)"
Scores = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Task:
    """A family seen with a wedge missing."""

    family: str
    wedge_deg: float
    condition: Condition
    count: int
    size_px: int


def run(pool: Executor, count: int, size_px: int) -> bool:
    """Print the table; never True, as nothing is wanted of it."""
    tasks = [Task(family, *case, count, size_px) for case in CASES for family in FAMILIES]
    found = list(pool.map(measured, tasks))
    by_case = {case: found[place * len(FAMILIES) :][: len(FAMILIES)] for place, case in enumerate(CASES)}
    rows = [
        [
            marked(name),
            *(f"{_mean(by_case[case], name, 0):.2f} / {_mean(by_case[case], name, 1):.3f}" for case in CASES),
        ]
        for name in found[0]
    ]
    print_table(
        f"Methods of the papers and ours, mean over {', '.join(FAMILIES)}: {count} slices of {size_px} px a family,\n"
        "views 2 degrees apart, PSNR in dB / SSIM, data range 1. Where a network is marked (*), its loss was still\n"
        "falling when its training ended: what it could reach is not shown, and proves nothing about the others.",
        ["method", *(f"{wedge:g} degrees, {condition.name}" for wedge, condition in CASES)],
        rows,
    )
    return False


@torch.no_grad()
def measured(task: Task) -> Scores:
    """Mean PSNR and SSIM of each method."""
    seen = scene(task.family, task.condition, wedge_tilts(task.wedge_deg), task.count, task.size_px)
    networks = wedge_networks.installed(wedge_networks.COMPARED)
    fills: dict[str, Fill] = {"WBP": back_projection, "TV, automatic": tv, **networks}
    answers = {name: fill(seen.views, seen.beam) for name, fill in fills.items()}
    return {
        name: (float(decibels(answer, seen.truth).mean()), float(similarity(answer, seen.truth).mean()))
        for name, answer in answers.items()
    }


def marked(name: str) -> str:
    """A method's name, with a mark where one of its networks had not converged."""
    models = wedge_networks.COMPARED.get(name, ())
    return name + _MARK * (not all(map(wedge_networks.converged, models)))


def _mean(found: list[Scores], name: str, kind: int) -> float:
    return float(np.mean([scores[name][kind] for scores in found]))
