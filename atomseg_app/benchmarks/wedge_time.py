"""How long filling takes: slices of 256 x 256 from 75 views, the classical start included."""

from __future__ import annotations

import torch

from atomseg_app.benchmarks import wedge_networks
from atomseg_app.benchmarks.options import SLICES_VARIABLE, number
from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Spent, at_most, print_bars, spending
from atomseg_app.benchmarks.wedge_classical import tv
from atomseg_app.benchmarks.wedge_networks import OURS, Fill
from atomseg_app.benchmarks.wedge_scenes import COUNTED, scene
from atomseg_app.rays.parallel_beam import ParallelBeam

SECONDS_WANTED = 60.0
_SIZE, _SLICES, _MEASURED, _BLOCK = 256, 256, 64, 16
_TILTS = (torch.arange(75, dtype=torch.float64) - 37) * 2


def run() -> bool:
    """Print the table; True if ours takes longer than is wanted."""
    count = number(SLICES_VARIABLE, _MEASURED)
    few = scene("gyroid", COUNTED, _TILTS, _BLOCK, _SIZE)
    views = few.views.repeat(-(-count // _BLOCK), 1, 1)[:count]
    methods: dict[str, Fill] = {"TV, automatic, 150 iterations": tv, **wedge_networks.installed()}
    spent = {name: _spent(fill, views, few.beam) for name, fill in methods.items()}
    times = _SLICES / count
    print_table(
        f"Seconds for {_SLICES} slices of {_SIZE} x {_SIZE} from {len(_TILTS)} views, measured on {count} slices,\n"
        f"{torch.get_num_threads()} threads; on a busy machine, what the processors' seconds take with all of them.",
        ["method", "seconds", "on the clock", "of processors"],
        [[name, each.seconds * times, each.wall * times, each.cpu * times] for name, each in spent.items()],
    )
    if OURS not in spent:
        return False
    what = f"{_SLICES} slices of {_SIZE} x {_SIZE}, classical start included"
    return not print_bars("Time.", [at_most(what, SECONDS_WANTED, spent[OURS].seconds * times, "s")])


def _spent(fill: Fill, views: torch.Tensor, beam: ParallelBeam) -> Spent:
    fill(views[:_BLOCK], beam)  # matrices and kernels are made once
    with torch.no_grad(), spending() as spent:
        for start in range(0, len(views), _BLOCK):
            fill(views[start : start + _BLOCK], beam)
    return spent
