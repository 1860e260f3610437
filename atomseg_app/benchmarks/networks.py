"""Figures of the column network: ``atomseg bench networks``.

The mixed hard set, its scale, denoising, cost of a pass, and the columns of ``atomseg bench columns``: the parts
(hard, scale, denoising, cost, columns) that the variable ``ATOMSEG_BENCH_PARTS`` can name. All take about an hour on
two cores; where the variable ``ATOMSEG_BENCH_PICTURES`` names a smaller number of pictures, so many are used.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context

from atomseg_app.benchmarks import denoising, hard_scale, hard_set, network_columns, network_cost, scale_estimates
from atomseg_app.benchmarks.baseline_network import baselines, training
from atomseg_app.benchmarks.options import parts
from atomseg_app.benchmarks.table import cores

_SCALE_PICTURES = 128
"""Of the hard set, whose enlarged pictures cost ten times as much."""


def run() -> int:
    """Print the tables. Returns 0, or 1 if a figure falls short of what is wanted. Raises UserError for other parts."""
    by_pool: dict[str, Callable[[Executor], bool]] = {
        "hard": _hard,
        "scale": lambda pool: hard_scale.run(hard_set.pictures(hard_set.pictures_wanted(_SCALE_PICTURES)), pool),
        "denoising": lambda pool: denoising.run(hard_set.pictures_wanted(denoising.PICTURES), pool),
    }
    alone: dict[str, Callable[[], bool]] = {"cost": network_cost.run, "columns": network_columns.run}
    asked = parts([*by_pool, *alone])
    failed = False
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for name in filter(by_pool.__contains__, asked):
            failed |= by_pool[name](pool)
    for name in filter(alone.__contains__, asked):
        failed |= alone[name]()
    return int(failed)


def _hard(pool: Executor) -> bool:
    """The hard set by every finder, and how well scales are estimated on it; True if ours falls short."""
    items = hard_set.pictures(hard_set.pictures_wanted())
    found, absent = baselines()
    results = hard_set.evaluate({**hard_set.FINDERS, **found}, items, pool)
    failed = hard_set.tell(results, absent)
    training()
    scale_estimates.run(items, results["network alone"], pool)
    return failed


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
