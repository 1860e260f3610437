"""Figures of missing-wedge filling: ``atomseg bench wedge``.

Families of objects that no network was trained or chosen on; the networks are those that are installed, ours is
``wedge-residual``. The variable ``ATOMSEG_BENCH_PARTS`` names parts (table, papers, protocol, projections, elongation,
ghosts, atoms, time), ``ATOMSEG_BENCH_PICTURES`` says how many slices of a family the tables use (8) and a twenty-fifth
of how many the protocol of TomoFillNet's authors uses in all (200), ``ATOMSEG_BENCH_SIZE`` how large the former are
(128), ``ATOMSEG_BENCH_VOLUMES`` how many volumes of each kind ghosts are looked for in (2), ``ATOMSEG_BENCH_SLICES`` on
how many slices the time is measured (64).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context

from atomseg_app.benchmarks import (
    wedge_atoms,
    wedge_elongation,
    wedge_failures,
    wedge_papers,
    wedge_projections,
    wedge_protocol,
    wedge_table,
    wedge_time,
)
from atomseg_app.benchmarks.options import COUNT_VARIABLE, SIZE_VARIABLE, VOLUMES_VARIABLE, number, parts
from atomseg_app.benchmarks.table import cores, print_table
from atomseg_app.benchmarks.wedge_networks import COMPARED, installed, training_of
from atomseg_app.networks.card import find_model

_PICTURES, _SIZE, _PROTOCOL = 8, 128, 25


def run() -> int:
    """Print the tables. Returns 0, or 1 if a figure falls short of what is wanted. Raises UserError for other parts."""
    count, size_px = number(COUNT_VARIABLE, _PICTURES), number(SIZE_VARIABLE, _SIZE, 32)
    volumes = number(VOLUMES_VARIABLE, wedge_failures.VOLUMES)
    by_pool: dict[str, Callable[[Executor], bool]] = {
        "table": lambda pool: wedge_table.run(pool, count, size_px),
        "papers": lambda pool: wedge_papers.run(pool, count, size_px),
        "protocol": lambda pool: wedge_protocol.run(pool, _PROTOCOL * count),
        "projections": lambda pool: wedge_projections.run(pool, count, size_px),
    }
    alone: dict[str, Callable[[], bool]] = {
        "elongation": wedge_elongation.run,
        "ghosts": lambda: wedge_failures.run(volumes),
        "atoms": wedge_atoms.run,
        "time": wedge_time.run,
    }
    asked = parts([*by_pool, *alone])
    there = installed(COMPARED)
    rows = [
        [name, ", ".join(models), training_of(models) if name in there else "not installed"]
        for name, models in COMPARED.items()
    ]
    print_table("The networks.", ["method", "models", "training"], rows)
    models = sorted({model for name in there for model in COMPARED[name]})
    print_table(
        "Validation loss of each as it was trained; each network has a loss of its own.", ["model", "loss"],
        [[model, find_model(model).card.training.losses(6)] for model in models],
    )  # fmt: skip
    failed = False
    with ProcessPoolExecutor(cores(), mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for name in filter(by_pool.__contains__, asked):
            failed |= by_pool[name](pool)
    for name in filter(alone.__contains__, asked):
        failed |= alone[name]()
    return int(failed)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
