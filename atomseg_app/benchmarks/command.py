"""``atomseg bench NAME``: runs the benchmark of that name, imported only then."""

from __future__ import annotations

import importlib
from typing import Literal

Benchmark = Literal[
    "columns",
    "detection",
    "readers",
    "window",
    "simulator",
    "multislice",
    "defects",
    "strain",
    "tomography",
    "wedge",
    "wedge-range",
    "wedge-uncertainty",
    "alignment",
    "networks",
    "segmentation",
    "painting",
    "all",
]
_IN_ORDER = ("columns", "readers", "window", "simulator", "multislice", "defects", "strain", "tomography", "alignment")
"""Of ``all``: columns ends with detection; those of networks take long and are asked for by name."""


def run_benchmark(name: Benchmark) -> int:
    """Run one benchmark, or ``all``; each prints its figures. Returns 0, or 1 if one says that it failed."""
    failed = False
    for module in _IN_ORDER if name == "all" else (name,):
        failed |= bool(importlib.import_module(f"atomseg_app.benchmarks.{module.replace('-', '_')}").run())
    return int(failed)
