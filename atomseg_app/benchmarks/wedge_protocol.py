"""TomoFillNet's protocol: 256 x 256, 128 views over 180 degrees, 32 in a row missing; ours against the best TV."""

from __future__ import annotations

from concurrent.futures import Executor

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.wedge_networks import OURS, installed
from atomseg_app.benchmarks.wedge_scenes import EXACT, FAMILIES, protocol_tilts
from atomseg_app.benchmarks.wedge_table import ORACLE, Scores, Task, mean, measured

MARGIN_DB = 1.0
_SIZE = 256
_TOGETHER = 10  # slices a task
_PUBLISHED = "They published 25.1 dB for their network and 27.9 dB for TV, of their one image."


def run(pool: Executor, pictures: int) -> bool:
    """Print the table of so many pictures; True if ours is not far enough above the best TV in every family."""
    share = max(1, pictures // len(FAMILIES))
    tilts = tuple(protocol_tilts().tolist())
    tasks = [
        Task(family, EXACT, tilts, min(_TOGETHER, share - first), _SIZE, (OURS,), 1 + first)
        for family in FAMILIES
        for first in range(0, share, _TOGETHER)
    ]
    by_family: dict[str, list[Scores]] = {family: [] for family in FAMILIES}
    for task, scores in zip(tasks, pool.map(measured, tasks), strict=True):
        by_family[task.family] += [scores] * task.count
    found = {family: mean(scores) for family, scores in by_family.items()}
    found["mean"] = mean(found.values())
    methods = list(found["mean"])
    rows = [[name, *(f"{found[f][name][0]:.2f} / {found[f][name][1]:.3f}" for f in found)] for name in methods]
    failed = False
    if OURS in installed():
        gains = {family: found[family][OURS][0] - found[family][ORACLE][0] for family in found}
        failed = min(gains.values()) < MARGIN_DB
        rows.append([f"ours above TV, dB (wanted {MARGIN_DB:g})", *(f"{gain:+.2f}" for gain in gains.values())])
    print_table(
        f"Protocol of TomoFillNet: {share} unseen slices a family, {_SIZE} x {_SIZE}, {len(tilts)} of 128 views,\n"
        "noise-free. PSNR in dB / SSIM, data range 1; total variation with the weight that the truth chooses for each\n"
        f"slice. {_PUBLISHED}",
        ["method", *found],
        rows,
    )
    return failed
