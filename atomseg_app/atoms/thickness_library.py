"""Libraries of simulated column intensities against the number of atoms, as text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import FileError

Floats = npt.NDArray[np.float64]

_LARGEST_BYTES = 10_000_000


def read_library(path: str | Path) -> tuple[npt.NDArray[np.int64], Floats]:
    """Numbers of atoms (m,) and their intensities (m,), from one number a line for 1, 2, 3 ... atoms, or from two:
    atoms and intensity. Text after # does not count. Raises FileError naming the line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise FileError(
                f"{path} is larger than any library of intensities; give a text file with one number a line."
            )
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise FileError(f"{path} cannot be read as a library of intensities ({problem}).") from problem
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        if not cells:
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError:
            raise FileError(f"{path}, line {number}: {line.strip()!r} is not a number, or two.") from None
        if len(rows[-1]) not in (1, 2) or len(rows[-1]) != len(rows[0]) or not np.isfinite(rows[-1]).all():
            raise FileError(f"{path}, line {number}: needs the same one or two finite numbers as the lines above it.")
    if len(rows) < 2:
        raise FileError(f"{path} holds {len(rows)} intensities; a library needs two or more.")
    table = np.array(rows)
    atoms = np.arange(1, len(table) + 1) if table.shape[1] == 1 else np.rint(table[:, 0]).astype(np.int64)
    if table.shape[1] == 2 and ((np.abs(table[:, 0] - atoms) > 1e-6).any() or (np.diff(atoms) < 1).any()):
        raise FileError(f"{path}: the first number of a line must be a number of atoms, larger from line to line.")
    if (np.diff(table[:, -1]) <= 0).any():
        falls = int(np.flatnonzero(np.diff(table[:, -1]) <= 0)[0]) + 2
        raise FileError(
            f"{path}: intensities must grow with the number of atoms, but entry {falls} does not; "
            "cut the library where it stops growing."
        )
    return atoms.astype(np.int64), table[:, -1]
