"""The symmetry operations of the table's space groups: ``python -m atomseg_app.simulate.symmetry DIR`` writes them.

They come from gemmi (Wojdyr, J. Open Source Softw. 7, 4200, 2022) and are kept beside the table of structures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text


def operations(symbol: str) -> list[str]:
    """Operations of a space group as triplets, the identity first and centrings included.

    ``symbol`` is a Hermann-Mauguin symbol with origin choice or axes (``F d -3 m:2``). Raises ``UserError`` if unknown.
    """
    import gemmi

    group = gemmi.find_spacegroup_by_name(symbol)
    if group is None:
        raise UserError(f"{symbol!r} is not the Hermann-Mauguin symbol of a space group.")
    triplets = [operation.triplet() for operation in group.operations()]
    return sorted(triplets, key=lambda triplet: (triplet != "x,y,z", triplet))


def write_operations(folder: Path) -> None:
    """Write ``operations.json`` for every space group named in ``structures.json`` of the same folder."""
    table = json.loads((folder / "structures.json").read_text("utf-8"))
    symbols: Iterable[str] = sorted({entry["symbol"] for entry in table["structures"]})
    text = ",\n".join(f" {json.dumps(symbol)}: {json.dumps(operations(symbol))}" for symbol in symbols)
    write_text(folder / "operations.json", f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    write_operations(Path(sys.argv[1]))
