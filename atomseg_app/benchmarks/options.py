"""Options of benchmarks: whole numbers and parts that the environment gives."""

from __future__ import annotations

import os
from collections.abc import Iterable

from atomseg_app.errors import UserError

COUNT_VARIABLE, SIZE_VARIABLE, SLICES_VARIABLE = "ATOMSEG_BENCH_PICTURES", "ATOMSEG_BENCH_SIZE", "ATOMSEG_BENCH_SLICES"
PARTS_VARIABLE, VOLUMES_VARIABLE = "ATOMSEG_BENCH_PARTS", "ATOMSEG_BENCH_VOLUMES"


def number(variable: str, usual: int, least: int = 1) -> int:
    """Whole number that the environment gives, or the usual one. Raises UserError for anything else."""
    text = os.environ.get(variable, str(usual))
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{variable} is {text!r}; give a whole number of {least} or more, or leave it out.")
    return int(text)


def parts(known: Iterable[str]) -> list[str]:
    """Parts of a benchmark that the environment names, separated by commas, or all. Raises UserError for another."""
    names = list(known)
    asked = [name.strip() for name in os.environ.get(PARTS_VARIABLE, ",".join(names)).split(",")]
    for name in asked:
        if name not in names:
            raise UserError(f"{PARTS_VARIABLE} names {name!r}; parts are {', '.join(names)}.")
    return asked
