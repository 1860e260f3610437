"""Crystal structures from CIF files of users (Hall, Allen & Brown, Acta Cryst. A47, 655, 1991), parsed by gemmi."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from atomseg_app.errors import FileError, UserError
from atomseg_app.simulate.crystals import Site, Structure, atomic_number, cell_formula, expand

if TYPE_CHECKING:
    import gemmi

_LARGEST_BYTES = 8 << 20
_MOST_SITES, _MOST_OPERATIONS, _MOST_ATOMS = 1000, 192, 2000
_PM = 100.0  # picometres in an ångström, the unit of CIF
_CELL_KEYS = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_CELL_PM = (100.0, 50_000.0)
_CELL_DEG = (10.0, 170.0)


def read_cif(path: Path) -> Structure:
    """The first crystal structure in a CIF file: cell, space group, sites with their occupancies; named as the file.

    Raises ``FileError`` for a file that cannot be read, is larger than 8 MiB or no CIF, and ``UserError`` for one
    without cell, symmetry or atoms in fractional coordinates, or of more than 2000 atoms a cell.
    """
    import gemmi

    text = _text(path)
    try:
        blocks = [block for block in gemmi.cif.read_string(text) if _has_atoms(block)]
        crystals = [gemmi.make_small_structure_from_block(block) for block in blocks[:1]]
    except (ValueError, RuntimeError) as problem:
        where = str(problem).splitlines()[0].removeprefix("string:")
        raise FileError(f"{path.name} is no valid CIF file (line {where}); export it again.") from None
    if not crystals:
        raise UserError(
            f"{path.name} lists no atoms in fractional coordinates (_atom_site_fract_x); "
            "choose the CIF of a small-cell crystal."
        )
    crystal = crystals[0]
    structure = Structure(
        name=path.stem,
        formula="",
        prototype="",
        space_group=crystal.spacegroup.number if crystal.spacegroup else crystal.spacegroup_number or 1,
        symbol=crystal.spacegroup.xhm() if crystal.spacegroup else crystal.spacegroup_hm,
        cell=_cell(crystal, blocks[0], path),
        sites=_sites(crystal, path),
        citation=f"read from {path.name}",
        operations=_operations(crystal, path),
    )
    if len(expand(structure).xyz) > _MOST_ATOMS:
        raise UserError(f"{path.name} has more than {_MOST_ATOMS} atoms in its cell; choose the CIF of a smaller cell.")
    return Structure(**{**vars(structure), "formula": _formula(structure)})


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as problem:
        raise FileError(f"{path} cannot be opened: {problem.strerror}.") from None
    if len(content) > _LARGEST_BYTES:
        raise FileError(f"{path.name} is larger than {_LARGEST_BYTES >> 20} MiB, too large for a crystal structure.")
    if b"\0" in content:
        raise FileError(f"{path.name} is no CIF file: it is not text.")
    return content.decode("utf-8", errors="replace")


def _has_atoms(block: gemmi.cif.Block) -> bool:
    return all(len(block.find_values(f"_atom_site_fract_{axis}")) for axis in "xyz")


def _cell(
    crystal: gemmi.SmallStructure, block: gemmi.cif.Block, path: Path
) -> tuple[float, float, float, float, float, float]:
    cell = crystal.cell
    lengths, angles = [edge * _PM for edge in (cell.a, cell.b, cell.c)], [cell.alpha, cell.beta, cell.gamma]
    # What is missing gemmi takes for 1 Å and 90°.
    fits = all(block.find_value(f"_cell_{key}") not in (None, "?", ".") for key in _CELL_KEYS)
    fits &= all(_CELL_PM[0] <= edge <= _CELL_PM[1] for edge in lengths)
    fits &= all(_CELL_DEG[0] <= angle <= _CELL_DEG[1] for angle in angles)
    cosines = [math.cos(math.radians(angle)) for angle in angles]
    fits = fits and 1 - sum(c * c for c in cosines) + 2 * math.prod(cosines) > 1e-4
    if not fits:
        raise UserError(
            f"{path.name} gives no possible cell ({cell.a:g}, {cell.b:g}, {cell.c:g} Å; {cell.alpha:g}, {cell.beta:g}, "
            f"{cell.gamma:g}°); check its _cell_length and _cell_angle entries."
        )
    return (*lengths, *angles)  # type: ignore[return-value]  # three and three


def _sites(crystal: gemmi.SmallStructure, path: Path) -> tuple[Site, ...]:
    if len(crystal.sites) > _MOST_SITES:
        raise UserError(f"{path.name} lists more than {_MOST_SITES} sites; choose the CIF of a smaller cell.")
    sites = []
    for site in crystal.sites:
        xyz = (site.fract.x, site.fract.y, site.fract.z)
        if not all(math.isfinite(value) and abs(value) < 100 for value in xyz):
            raise UserError(f"{path.name} gives no position for atom {site.label!r}; complete or remove that line.")
        element = "H" if site.element.name == "D" else site.element.name
        if site.element.atomic_number < 1 or atomic_number(element) != site.element.atomic_number:
            raise UserError(f"{path.name} names no known element for atom {site.label!r}; write its symbol.")
        if not 0 <= site.occ <= 1.001:
            raise UserError(f"{path.name} fills atom {site.label!r} to {site.occ:g}; occupancies lie between 0 and 1.")
        if site.occ > 0:
            sites.append(Site(element, min(float(site.occ), 1.0), xyz))
    if not sites:
        raise UserError(f"{path.name} has only empty sites; check its _atom_site_occupancy entries.")
    return tuple(sites)


def _operations(crystal: gemmi.SmallStructure, path: Path) -> tuple[str, ...]:
    """The operations that the file lists, else those of the space group it names."""
    import gemmi

    if crystal.symops:
        if len(crystal.symops) > _MOST_OPERATIONS:
            raise UserError(f"{path.name} lists more than {_MOST_OPERATIONS} symmetry operations, which no group has.")
        try:
            return tuple(gemmi.Op(text).triplet() for text in crystal.symops)
        except (ValueError, RuntimeError):
            raise UserError(f"{path.name} lists symmetry operations that cannot be read; export it again.") from None
    group = crystal.spacegroup
    if group is None:
        raise UserError(f"{path.name} lists no symmetry operations and names no known space group; export it again.")
    if group.ext in ("1", "2") and not crystal.spacegroup_hall and ":" not in crystal.spacegroup_hm:
        raise UserError(
            f"{path.name} names the space group {group.hm} without origin choice and lists no symmetry operations; "
            "export it with _space_group_symop_operation_xyz."
        )
    return tuple(operation.triplet() for operation in group.operations())


def _formula(structure: Structure) -> str:
    """Formula from the cell's content, without common factors, elements in the order of the file."""
    counts = {element: round(count, 4) for element, count in cell_formula(structure).items()}
    whole = all(count.is_integer() for count in counts.values())
    shared = math.gcd(*(int(count) for count in counts.values())) if whole else 1
    parts = ((element, count / shared) for element, count in counts.items())
    return "".join(element if count == 1 else f"{element}{count:g}" for element, count in parts)
