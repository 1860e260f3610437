"""``atomseg bench NAME``: runs the benchmark of that name, imported only then."""

from __future__ import annotations

import importlib

from atomseg_app.errors import UserError

BENCHMARKS = ("columns", "detection", "readers", "window")


def run_benchmark(name: str) -> int:
    """Run one benchmark, or ``all``; each prints its figures. Returns 0, or 1 if one says that it failed."""
    if name not in (*BENCHMARKS, "all"):
        raise UserError(f"There is no benchmark {name!r}; known: {', '.join(BENCHMARKS)}, all.")
    failed = False
    for module in BENCHMARKS if name == "all" else (name,):
        failed |= bool(importlib.import_module(f"atomseg_app.benchmarks.{module}").run())
    return int(failed)
