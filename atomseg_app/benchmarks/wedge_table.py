"""PSNR and SSIM at each wedge: mean over unseen families, by condition, beside the classical ways, and the margins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch

from atomseg_app.benchmarks import wedge_networks
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.wedge_classical import classical, tv_oracle
from atomseg_app.benchmarks.wedge_networks import OURS
from atomseg_app.benchmarks.wedge_scenes import CONDITIONS, EXACT, FAMILIES, Condition, scene, wedge_tilts
from atomseg_app.networks.image_losses import decibels, similarity

WEDGES_DEG = (30, 45, 60, 80)
MARGIN_DB = {45: 2.0, 60: 2.0}
"""How much ours must be better than the best opponent, at wedges where that is more than nothing."""
ORACLE = "TV, oracle"

Scores = dict[str, tuple[float, float]]
"""Mean decibels and similarity by method."""


@dataclass(frozen=True)
class Task:
    """One cell: a family seen at some angles."""

    family: str
    condition: Condition
    tilt_deg: tuple[float, ...]
    count: int
    size_px: int
    only: tuple[str, ...] = ()
    first: int = 0


def measured(task: Task) -> Scores:
    """Mean PSNR and SSIM with a data range of 1 of every method, or of those named in ``only``."""
    with torch.no_grad():
        seen = scene(
            task.family, task.condition, torch.tensor(task.tilt_deg, dtype=torch.float64), task.count, task.size_px,
            task.first,
        )  # fmt: skip
        found: Scores = {}
        psnr, ssim = tv_oracle(seen.views, seen.beam, seen.truth)
        found[ORACLE] = float(psnr.mean()), float(ssim.mean())
        for name, fill in {**classical(), **wedge_networks.installed()}.items():
            if not task.only or name in task.only:
                found[name] = _scores(fill(seen.views, seen.beam), seen.truth)
    return found


def _scores(image: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    return float(decibels(image, truth).mean()), float(similarity(image, truth).mean())


def run(pool: Executor, count: int, size_px: int) -> bool:
    """Print the tables; True if ours is not as far above all opponents as is wanted."""
    tasks = [
        Task(family, condition, tuple(wedge_tilts(wedge).tolist()), count, size_px)
        for condition in CONDITIONS
        for wedge in WEDGES_DEG
        for family in FAMILIES
    ]
    results = iter(list(pool.map(measured, tasks)))
    cells = {
        (condition, wedge): {family: next(results) for family in FAMILIES}
        for condition in CONDITIONS
        for wedge in WEDGES_DEG
    }
    failed = False
    for condition in CONDITIONS:
        for kind in ("mean", *FAMILIES):
            if kind == "mean" or condition in CONDITIONS[:2]:
                _print(condition, kind, {w: _pick(cells[condition, w], kind) for w in WEDGES_DEG}, count, size_px)
    for condition in CONDITIONS:
        found = {wedge: mean(cells[condition, wedge].values()) for wedge in WEDGES_DEG}
        failed |= _verdict(condition, found)
    return failed


def mean(scores: Iterable[Scores]) -> Scores:
    """Mean of each method's figures over families."""
    held = list(scores)
    return {name: (_mean(s[name][0] for s in held), _mean(s[name][1] for s in held)) for name in held[0]}


def _pick(by_family: Mapping[str, Scores], kind: str) -> Scores:
    return mean(by_family.values()) if kind == "mean" else by_family[kind]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _print(condition: Condition, kind: str, found: Mapping[int, Scores], count: int, size_px: int) -> None:
    what = "mean over " + ", ".join(FAMILIES) if kind == "mean" else kind
    methods = list(next(iter(found.values())))
    rows = [[name, *(f"{found[w][name][0]:.2f} / {found[w][name][1]:.3f}" for w in found)] for name in methods]
    print_table(
        f"Missing wedge, {condition.name}, {what}: {count} slices of {size_px} x {size_px} a family, views 2 degrees\n"
        "apart. PSNR in dB / SSIM, data range 1.",
        ["method", *(f"{wedge} degrees" for wedge in found)],
        rows,
    )


def opponents(scores: Scores) -> list[str]:
    """Every method that is not a network's of this program."""
    return [name for name in scores if name not in wedge_networks.METHODS]


def _verdict(condition: Condition, found: Mapping[int, Scores]) -> bool:
    """Print how far ours is above the best opponent at each wedge; True where that is too little."""
    if OURS not in next(iter(found.values())):
        return False
    rows: list[Sequence[object]] = []
    failed = False
    for wedge, scores in found.items():
        others = opponents(scores)
        best = [max(others, key=lambda name, k=kind: scores[name][k]) for kind in (0, 1)]  # type: ignore[misc]
        gain, similar = (scores[OURS][kind] - scores[best[kind]][kind] for kind in (0, 1))
        wanted = MARGIN_DB.get(wedge, 0.0) if condition == EXACT else 0.0
        good = gain >= wanted and similar >= 0
        failed |= not good
        rows.append(
            [wedge, f"{gain:+.2f}", best[0], f"{wanted:g}", f"{similar:+.4f}", best[1], "yes" if good else "NO"]
        )
    print_table(
        f"Ours against the best opponent, {condition.name}, mean over families.",
        ["wedge (degrees)", "PSNR, dB", "opponent", "wanted", "SSIM", "opponent", "reached"],
        rows,
    )
    return failed
