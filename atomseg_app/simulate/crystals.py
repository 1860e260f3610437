"""Crystal structures: space group, cell and sites of the asymmetric unit, each with its source, and the full unit cell.

The table is ``resources/crystals/structures.json``; the symmetry operations of its space groups lie beside it (see
``symmetry.py``), so that nothing but numpy is needed to use it. Which structures are held out, never to be trained on,
is written in the table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError
from atomseg_app.places import resources_folder

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Cell = tuple[float, float, float, float, float, float]

_PERIODS = """
H He
Li Be B C N O F Ne
Na Mg Al Si P S Cl Ar
K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr
Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe
Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn
Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
_ATOMIC_NUMBER = {symbol: number for number, symbol in enumerate(_PERIODS.split(), start=1)}
_SAME_SITE_PM = 5.0  # images of a site that are nearer than this are one atom: published coordinates are rounded


@dataclass(frozen=True)
class Site:
    """One site of the asymmetric unit: element symbol, share of it that is filled, fractional coordinates."""

    element: str
    occupancy: float
    xyz: tuple[float, float, float]


@dataclass(frozen=True)
class Structure:
    """A crystal structure as published; ``str()`` of it is its name.

    ``cell`` is a, b, c in pm and alpha, beta, gamma in degrees. ``symbol`` is the Hermann-Mauguin symbol with origin
    choice or axes after a colon (``F d -3 m:2``, ``R -3 m:H``) and ``operations`` its operations as triplets
    (``-y,x-y,z+1/3``), centrings included. ``zones`` are the axes named for it, empty where the usual ones of its
    crystal system serve. A ``sheet`` is one or a few layers in a cell that is mostly vacuum along c.
    """

    name: str
    formula: str
    prototype: str
    space_group: int
    symbol: str
    cell: Cell
    sites: tuple[Site, ...]
    citation: str
    operations: tuple[str, ...]
    held_out: bool = False
    sheet: bool = False
    zones: tuple[tuple[int, int, int], ...] = ()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class UnitCell:
    """All atoms of a conventional cell.

    ``basis_pm`` (3, 3) rows a (along x), b (in the xy plane) and c; ``xyz`` (N, 3) fractional in [0, 1);
    ``numbers`` (N,) atomic numbers; ``occupancy`` (N,); ``site`` (N,) index into ``Structure.sites``;
    ``centrings`` (M, 3) fractional lattice translations within the cell, the first of them zero.
    """

    basis_pm: Floats
    xyz: Floats
    numbers: Ints
    occupancy: Floats
    site: Ints
    centrings: Floats


def atomic_number(element: str) -> int:
    """Atomic number of an element symbol. Raises ``UserError`` for what is no element."""
    try:
        return _ATOMIC_NUMBER[element]
    except KeyError:
        raise UserError(f"{element!r} is not the symbol of an element.") from None


def element(number: int) -> str:
    """Symbol of an element from its atomic number; empty for a number that has none."""
    return next((symbol for symbol, each in _ATOMIC_NUMBER.items() if each == number), "")


def basis_pm(cell: Cell) -> Floats:
    """Cell vectors (3, 3) as rows, a along x and b in the xy plane, from lengths and angles in degrees."""
    a, b, c = cell[:3]
    # Rounded so that right angles give exact zeros.
    cos_alpha, cos_beta, cos_gamma = np.round(np.cos(np.deg2rad(cell[3:])), 12)
    sin_gamma = np.sqrt(1 - cos_gamma**2)
    c_y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    c_z = np.sqrt(1 - cos_beta**2 - c_y**2)
    return np.array([[a, 0, 0], [b * cos_gamma, b * sin_gamma, 0], [c * cos_beta, c * c_y, c * c_z]])


@cache
def symmetry_operations(triplets: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Rotations (n, 3, 3) and translations (n, 3), fractional, of operations such as ``-y,x-y,z+1/3``."""
    rotations, translations = np.zeros((len(triplets), 3, 3)), np.zeros((len(triplets), 3))
    for index, triplet in enumerate(triplets):
        for row, part in enumerate(triplet.replace(" ", "").lower().split(",")):
            for term in part.replace("-", "+-").split("+"):
                if term and term[-1] in "xyz":
                    rotations[index, row, "xyz".index(term[-1])] += -1 if term.startswith("-") else 1
                elif term:
                    translations[index, row] += float(Fraction(term))
    return rotations, translations


@cache
def expand(structure: Structure) -> UnitCell:
    """The full conventional cell of a structure; special positions are found by what falls on top of itself."""
    basis = basis_pm(structure.cell)
    rotations, translations = symmetry_operations(structure.operations)
    xyz, site = [], []
    for index, one in enumerate(structure.sites):
        kept = _distinct(rotations @ np.array(one.xyz) + translations, basis)
        xyz.append(kept)
        site.append(np.full(len(kept), index))
    sites = np.concatenate(site)
    centrings = translations[(rotations == np.eye(3)).all(axis=(1, 2))] % 1
    cell = UnitCell(
        basis,
        np.concatenate(xyz),
        np.array([atomic_number(structure.sites[i].element) for i in sites]),
        np.array([structure.sites[i].occupancy for i in sites]),
        sites,
        centrings[np.argsort(centrings.sum(axis=1), kind="stable")],
    )
    for array in vars(cell).values():
        array.flags.writeable = False  # the cell is kept and shared
    return cell


def _distinct(images: Floats, basis: Floats) -> Floats:
    """Images of one site brought into the cell, each atom once."""
    images = images - np.floor(images + 1e-6)  # an atom at 0.9999999 is the one at 0
    apart = images[:, None] - images[None, :]
    near = np.linalg.norm((apart - np.round(apart)) @ basis, axis=-1) < _SAME_SITE_PM
    first = near.argmax(axis=1) == np.arange(len(images))
    return np.ascontiguousarray(images[first])


def cell_formula(structure: Structure) -> dict[str, float]:
    """Atoms of each element in the conventional cell, occupancies counted."""
    cell = expand(structure)
    counts: dict[str, float] = {}
    for site, occupancy in zip(cell.site, cell.occupancy, strict=True):
        element = structure.sites[site].element
        counts[element] = counts.get(element, 0.0) + float(occupancy)
    return counts


@cache
def structures() -> tuple[Structure, ...]:
    """All structures of the bundled table, in its order."""
    folder = resources_folder() / "crystals"
    table = json.loads((folder / "structures.json").read_text("utf-8"))
    operations = json.loads((folder / "operations.json").read_text("utf-8"))
    held_out = set(table["held_out"])
    return tuple(_structure(entry, operations, held_out) for entry in table["structures"])


def structure(name: str) -> Structure:
    """The structure of that name. Raises ``UserError`` when the table has none."""
    for one in structures():
        if one.name == name:
            return one
    raise UserError(f"There is no structure {name!r}; there are {', '.join(map(str, structures()))}.")


def _structure(entry: dict[str, Any], operations: dict[str, list[str]], held_out: set[str]) -> Structure:
    return Structure(
        name=entry["name"],
        formula=entry["formula"],
        prototype=entry["prototype"],
        space_group=entry["number"],
        symbol=entry["symbol"],
        cell=_six(entry["cell"]),
        sites=tuple(
            Site(e, float(share), (_number(x), _number(y), _number(z))) for e, share, x, y, z in entry["sites"]
        ),
        citation=entry["citation"],
        operations=tuple(operations[entry["symbol"]]),
        held_out=entry["name"] in held_out,
        sheet=entry.get("sheet", False),
        zones=tuple((u, v, w) for u, v, w in entry.get("zones", [])),
    )


def _six(values: list[float]) -> Cell:
    a, b, c, alpha, beta, gamma = map(float, values)
    return a, b, c, alpha, beta, gamma


def _number(value: float | str) -> float:
    """A coordinate written as a number or, where rounding would matter, as a fraction."""
    return float(Fraction(value)) if isinstance(value, str) else float(value)
