"""Options of benchmarks: whole numbers that the environment gives."""

from __future__ import annotations

import os

from atomseg_app.errors import UserError

COUNT_VARIABLE, SIZE_VARIABLE, SLICES_VARIABLE = "ATOMSEG_BENCH_PICTURES", "ATOMSEG_BENCH_SIZE", "ATOMSEG_BENCH_SLICES"


def number(variable: str, usual: int, least: int = 1) -> int:
    """Whole number that the environment gives, or the usual one. Raises UserError for anything else."""
    text = os.environ.get(variable, str(usual))
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{variable} is {text!r}; give a whole number of {least} or more, or leave it out.")
    return int(text)
