"""Figures of the column network: ``atomseg bench networks``.

The mixed hard set, its scale, denoising, cost of a pass, and the columns of ``atomseg bench columns``. All take about
an hour on two cores; where the variable ``ATOMSEG_BENCH_PICTURES`` names a smaller number of pictures, so many are
used.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from atomseg_app.benchmarks import denoising, hard_scale, hard_set, network_columns, network_cost, scale_estimates
from atomseg_app.benchmarks.baseline_network import baselines
from atomseg_app.benchmarks.table import cores

_SCALE_PICTURES = 128
"""Of the hard set, whose enlarged pictures cost ten times as much."""


def run() -> int:
    """Print all tables. Returns 0, or 1 if a figure falls short of what is wanted."""
    items = hard_set.pictures(hard_set.pictures_wanted())
    found, absent = baselines()
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        results = hard_set.evaluate({**hard_set.FINDERS, **found}, items, pool)
        failed = hard_set.tell(results, absent)
        scale_estimates.run(items, results["network alone"], pool)
        failed |= hard_scale.run(items[: hard_set.pictures_wanted(_SCALE_PICTURES)], pool)
        failed |= denoising.run(hard_set.pictures_wanted(denoising.PICTURES), pool)
    failed |= network_cost.run()
    failed |= network_columns.run()
    return int(failed)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
