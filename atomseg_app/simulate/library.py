"""Projected crystals packed as tensors, ready to be laid out by the thousand: motifs, atoms, and what is resolved.

Columns nearer than the full width at half maximum of their image cannot be told apart; truth counts such a group as one
column at its centre of intensity. Groups are worked out here once for a few widths (single linkage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from atomseg_app.simulate.projection import Projection

Floats = npt.NDArray[np.float64]

RESOLUTIONS_PM = (60.0, 68.0, 77.0, 87.0, 98.0, 111.0, 126.0)
"""Widths at half maximum for which groups are known."""

_SPECIES = 4  # kinds of atoms in one column; the rarest of more are left out
_MIN_SPACING_PM = 150.0  # mean distance of resolved columns below which no axis is worth an image


@dataclass(frozen=True)
class Library:
    """Projections as tensors; P projections, K columns of a motif at most, S species, R resolutions.

    ``basis_pm`` (P, 2, 2) rows a and b; ``xy_pm`` (P, K, 2), groups kept together; ``columns`` (P,) how many of K;
    ``numbers`` and ``counts`` (P, K, S) atomic numbers and atoms a repeat; ``repeat_pm`` (P,); ``sheet`` (P,) whether
    it is a sheet of fixed thickness; ``group`` (P, R, K) group of each column; ``usable`` (P, R) whether that
    resolution tells columns apart at all.
    """

    names: tuple[str, ...]
    basis_pm: torch.Tensor
    xy_pm: torch.Tensor
    columns: torch.Tensor
    numbers: torch.Tensor
    counts: torch.Tensor
    repeat_pm: torch.Tensor
    sheet: torch.Tensor
    group: torch.Tensor
    usable: torch.Tensor

    def __len__(self) -> int:
        return len(self.names)

    @property
    def layer(self) -> int:
        """Row of the triangular layer that disordered and sparse pictures are made from; never drawn as a crystal."""
        return len(self.names) - 1

    def to(self, device: torch.device) -> Library:
        """The same on a device."""
        _, *tensors = vars(self).values()
        return Library(self.names, *(tensor.to(device) for tensor in tensors))

    def resolution(self, fwhm_pm: torch.Tensor) -> torch.Tensor:
        """Index of the known resolution nearest to each width at half maximum."""
        known = torch.tensor(RESOLUTIONS_PM, device=fwhm_pm.device)
        return (known[None, :] - fwhm_pm[:, None]).abs().argmin(1)


def pack(projections: Sequence[Projection]) -> Library:
    """Library of projections; those that no resolution resolves are left out. A triangular layer is added last."""
    entries = [_entry(projection) for projection in projections]
    entries = [entry for entry in entries if entry.usable.any()] + [_LAYER]
    most = max(len(entry.xy_pm) for entry in entries)
    xy_pm = np.zeros((len(entries), most, 2))
    atoms = np.zeros((len(entries), most, _SPECIES, 2))
    group = np.zeros((len(entries), len(RESOLUTIONS_PM), most), np.int64)
    for row, entry in enumerate(entries):
        xy_pm[row, : len(entry.xy_pm)] = entry.xy_pm
        group[row, :, : len(entry.xy_pm)] = entry.group
        for column, species in enumerate(entry.atoms):
            commonest = sorted(species, key=lambda each: -each[1])[:_SPECIES]
            atoms[row, column, : len(commonest)] = commonest

    def tensor(values: object) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=torch.float32)

    return Library(
        tuple(entry.name for entry in entries),
        tensor([entry.basis_pm for entry in entries]),
        tensor(xy_pm),
        torch.tensor([len(entry.xy_pm) for entry in entries]),
        tensor(atoms[..., 0]),
        tensor(atoms[..., 1]),
        tensor([entry.repeat_pm for entry in entries]),
        torch.tensor([entry.sheet for entry in entries]),
        torch.from_numpy(group),
        torch.from_numpy(np.array([entry.usable for entry in entries])),
    )


@dataclass(frozen=True)
class _Entry:
    """One row of the library before it is packed."""

    name: str
    basis_pm: Floats
    xy_pm: Floats
    atoms: tuple[tuple[tuple[int, float], ...], ...]
    repeat_pm: float
    sheet: bool
    group: npt.NDArray[np.int64]
    usable: npt.NDArray[np.bool_]


_LAYER = _Entry(
    "disordered layer", np.array([[250.0, 0.0], [125.0, 216.5]]), np.zeros((1, 2)), (((14, 1.0),),), 250.0, False,
    np.zeros((len(RESOLUTIONS_PM), 1), np.int64), np.zeros(len(RESOLUTIONS_PM), bool),
)  # fmt: skip


def _entry(projection: Projection) -> _Entry:
    xy_pm, group, usable = _groups(projection)
    name = f"{projection.structure.name} [{' '.join(map(str, projection.zone))}]"
    basis_pm = np.array([projection.a_pm, projection.b_pm])
    return _Entry(name, basis_pm, xy_pm, projection.atoms, projection.repeat_pm, projection.sheet, group, usable)


def _groups(projection: Projection) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Positions with groups kept together (K, 2), group of each column (R, K), and which resolutions resolve it."""
    xy = np.stack([projection.x_pm, projection.y_pm], axis=1)
    basis = np.array([projection.a_pm, projection.b_pm])
    first, second, shift, length = _links(xy, basis, max(RESOLUTIONS_PM))
    area = abs(float(np.linalg.det(basis)))
    groups = np.zeros((len(RESOLUTIONS_PM), len(xy)), np.int64)
    usable = np.zeros(len(RESOLUTIONS_PM), bool)
    unwrapped = xy
    for row, reach in enumerate(RESOLUTIONS_PM):
        near = length < reach
        together = _unwrap(xy, basis, first[near], second[near], shift[near])
        if together is None:
            continue
        unwrapped = together  # the widest that works serves the narrower ones: their groups are parts of its groups
        links = coo_matrix((np.ones(near.sum()), (first[near], second[near])), (len(xy), len(xy)))
        found, groups[row] = connected_components(links, directed=False)
        usable[row] = np.sqrt(area / found) > max(_MIN_SPACING_PM, 1.3 * reach)
    return unwrapped, groups, usable


def _links(
    xy: Floats, basis: Floats, reach_pm: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, Floats]:
    """Pairs of columns, in all cells, nearer than a distance: first, second, shift of the second (n, 2), length."""
    cells = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)], float)
    shifts = cells @ basis
    difference = xy[None, :, None, :] + shifts[None, None, :, :] - xy[:, None, None, :]
    length = np.linalg.norm(difference, axis=-1)
    first, second, cell = np.nonzero((length < reach_pm) & (length > 1e-6))
    return first, second, cells[cell], length[first, second, cell]


def _unwrap(
    xy: Floats, basis: Floats, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], shift: Floats
) -> Floats | None:
    """Positions in those cells that keep linked columns together; None where a chain of links never ends."""
    cell = np.zeros((len(xy), 2))
    if len(first):
        links = coo_matrix((np.arange(1, len(first) + 1), (first, second)), (len(xy), len(xy))).tocsr()
        parts, label = connected_components(links, directed=False)
        table = {(a, b): s for a, b, s in zip(first, second, shift, strict=True)}
        for part in range(parts):
            start = int(np.flatnonzero(label == part)[0])
            order, before = breadth_first_order(links, start, directed=False)
            for node in order[1:]:
                parent = before[node]
                step = table.get((parent, node))
                cell[node] = cell[parent] + (step if step is not None else -table[node, parent])
        if _broken(cell, first, second, shift):
            return None
    return np.asarray(xy + cell @ basis)


def _broken(cell: Floats, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], shift: Floats) -> bool:
    """Whether a link joins columns of different copies of one group, which then goes on without end."""
    return not np.array_equal(cell[first] + shift, cell[second])
