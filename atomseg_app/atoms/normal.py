"""Joint normal equations of all columns, the background and the common shape: assembly, solution, error bars.

Unknowns are, in this order: for each column x, y, A and its own shape (one log-width where the shape is shared, the
three of ``S`` where it is free); the background's coefficients; the three of a common ``S`` where it is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree

from atomseg_app.atoms import model
from atomseg_app.atoms.spline import Background

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHARED = np.zeros((model.PARAMETERS, 4))
_SHARED[[0, 1, 2], [0, 1, 2]] = 1
_SHARED[[3, 5], 3] = 2  # a step s in log-width is S = 2 s I
_COMMON = np.zeros((model.PARAMETERS, 3))
_COMMON[3:] = np.eye(3)
_DENSE = 900  # unknowns up to which the exact inverse is cheap
_RIDGE = 1e-9  # of every unknown's own information, so that rounding leaves the matrix positive
_SLIGHT = 0.02  # of the diagonal: a matrix damped no more than that is preconditioned as the undamped one
_STEP_TOLERANCE = 1e-3
_PROBE_TOLERANCE = 1e-2  # its square is what the variances lack
_PROBE_DISTANCE = 3.5  # in typical neighbour distances: columns this far apart do not feel each other's errors


@dataclass(frozen=True)
class Layout:
    """How the unknowns of a fit are numbered."""

    columns: int
    nodes: int
    free: bool

    @property
    def own(self) -> int:
        """Unknowns of one column."""
        return 6 if self.free else 4

    @property
    def common(self) -> int:
        """Unknowns shared by all columns."""
        return 0 if self.free else 3

    @property
    def first_node(self) -> int:
        """Index of the first background coefficient."""
        return self.columns * self.own

    @property
    def count(self) -> int:
        """Number of unknowns."""
        return self.first_node + self.nodes + self.common

    def columns_of(self, vector: Floats) -> Floats:
        """View (n, own) of the columns' unknowns in a vector of unknowns."""
        return vector[: self.first_node].reshape(self.columns, self.own)

    def own_of(self, vector: Floats) -> Floats:
        """View (n, 1 or 3) of the columns' own shapes in a vector of unknowns."""
        return vector[: self.first_node].reshape(self.columns, self.own)[:, 3:]

    def nodes_of(self, vector: Floats) -> Floats:
        """View (nodes,) of the background's coefficients in a vector of unknowns."""
        return vector[self.first_node : self.first_node + self.nodes]

    @property
    def projection(self) -> Floats:
        """Six parameters of a column from its own unknowns (6, own)."""
        return np.eye(6) if self.free else _SHARED

    def column_steps(self, step: Floats) -> Floats:
        """Steps of the six parameters of each column (n, 6), common shape included."""
        steps = step[: self.first_node].reshape(self.columns, self.own) @ self.projection.T
        if not self.free:
            steps = steps + _COMMON @ step[-3:]
        return np.asarray(steps)


class Normal:
    """Fisher information (sparse) and gradient of a fit, with what solves them."""

    def __init__(self, layout: Layout, matrix: sp.csr_matrix, gradient: Floats) -> None:
        self.layout, self.matrix, self.gradient = layout, matrix, gradient

    def with_gradient(self, gradient: Floats) -> Normal:
        """The same information with another gradient."""
        other = copy(self)
        other.gradient = gradient
        return other

    def solve(self, damping: float, columns: npt.ArrayLike = 0.0) -> Floats:
        """Damped step (count,): (F + damping·diag F) step = gradient; ``columns`` (n,) is added for each column."""
        layout = self.layout
        damped = np.full(layout.count, damping)
        damped[: layout.first_node] += np.repeat(np.broadcast_to(columns, layout.columns), layout.own)
        return self._conjugate_gradients(self.gradient[:, None], damped, tolerance=_STEP_TOLERANCE)[:, 0]

    @cached_property
    def _own_blocks(self) -> Floats:
        n, k = self.layout.columns, self.layout.own
        blocks = sp.bsr_matrix(self.matrix[: n * k, : n * k], blocksize=(k, k))
        row = np.repeat(np.arange(n), np.diff(blocks.indptr))
        out = np.zeros((n, k, k))
        mine = blocks.indices == row
        out[row[mine]] = blocks.data[mine]
        return out

    @cached_property
    def _rest(self) -> sp.csc_matrix:
        """Information on all that is no column's own."""
        first = self.layout.first_node
        return self.matrix[first:, first:].tocsc()

    @cached_property
    def _rest_solver(self) -> SuperLU:
        return _factorised(self._rest)

    def _preconditioner(self, diagonal: Floats) -> Callable[[Floats], Floats]:
        """Inverse of the blocks of single columns and of the rest, with what is added to the diagonal (count,)."""
        n, k, first = self.layout.columns, self.layout.own, self.layout.first_node
        own = self._own_blocks
        index = np.arange(k)
        damped = own.copy()
        damped[:, index, index] += diagonal[:first].reshape(n, k) + 1e-12 * own[:, index, index]
        damped[:, index, index] += damped[:, index, index] <= 0  # what no pixel speaks of stays where it is
        inverse = np.linalg.inv(damped)
        slight = np.all(diagonal[first:] <= _SLIGHT * self._rest.diagonal())
        rest = self._rest_solver if slight else _factorised(self._rest + sp.diags(diagonal[first:]))

        def precondition(r: Floats) -> Floats:
            z = np.empty_like(r)
            z[:first] = (inverse @ r[:first].reshape(n, k, -1)).reshape(first, -1)
            for side in range(r.shape[1]):  # all at once would be left to threads that here cost more than they do
                z[first:, side] = rest.solve(r[first:, side])
            return z

        return precondition

    def _conjugate_gradients(self, rhs: Floats, damping: Floats, tolerance: float) -> Floats:
        """Block-preconditioned conjugate gradients for several right-hand sides (count, k)."""
        matrix, diagonal = self.matrix, self.matrix.diagonal() * damping
        precondition = self._preconditioner(diagonal)
        x = np.zeros_like(rhs)
        r = rhs.copy()
        z = precondition(r)
        p = z.copy()
        rz = np.sum(r * z, axis=0)
        goal = tolerance**2 * rz
        for _ in range(200):
            q = matrix @ p + diagonal[:, None] * p
            curvature = np.sum(p * q, axis=0)
            going = (rz > goal) & (curvature > 0)  # rounding can leave a flat direction slightly negative
            if not going.any():
                break
            alpha = np.where(going, rz / np.where(going, curvature, 1), 0)
            x += alpha * p
            r -= alpha * q
            z = precondition(r)
            rz, old = np.where(going, np.sum(r * z, axis=0), 0), rz
            p = z + np.where(going, rz / np.where(going, old, 1), 0) * p
        return x

    def position_information(self) -> Floats:
        """Information (n, 2) on x and y of each column with everything else known."""
        n, k = self.layout.columns, self.layout.own
        return np.asarray(self.matrix.diagonal()[: n * k].reshape(n, k)[:, :2])

    def own_shape_information(self) -> Floats:
        """Information (n,) on the log-width of each column of a shared shape, with its x, y and A unknown."""
        blocks = self._own_blocks.copy()
        index = np.arange(blocks.shape[1])
        seen = blocks[:, index, index].min(axis=1) > 0
        blocks[~seen] = np.eye(len(index))  # a column that no pixel speaks of
        return np.where(seen, 1 / np.linalg.inv(blocks)[:, 3, 3], 0.0)

    def amplitude_variance(self, rows: Ints) -> Floats:
        """Marginal variance (k,) of the amplitudes of a few columns, with everything else unknown."""
        where = np.asarray(rows) * self.layout.own + 2
        probes = np.zeros((self.layout.count, len(where)))
        probes[where, np.arange(len(where))] = 1
        answer = self._conjugate_gradients(probes, np.zeros(len(probes)), tolerance=_PROBE_TOLERANCE)
        return np.asarray(answer[where, np.arange(len(where))])

    def amplitude_information(self) -> Floats:
        """Information (n,) on the amplitude of each column with everything else known."""
        n, k = self.layout.columns, self.layout.own
        return np.asarray(self.matrix.diagonal()[: n * k].reshape(n, k)[:, 2])

    def position_variance(self, x: Floats, y: Floats) -> Floats:
        """Marginal variance of x and y of each column (n, 2): the diagonal of the inverse Fisher information.

        Exact for few unknowns; for many, columns far apart are probed together, as the inverse decays with distance.
        """
        n, k = self.layout.columns, self.layout.own
        where = np.arange(n)[:, None] * k + np.arange(2)
        if self.layout.count <= _DENSE:
            return np.asarray(_inverse_diagonal(self.matrix.toarray())[where])
        colour = colours(x, y)
        probes = np.zeros((self.layout.count, 2 * (int(colour.max()) + 1)))
        for axis in (0, 1):
            probes[where[:, axis], 2 * colour + axis] = 1
        answer = self._conjugate_gradients(probes, np.zeros(len(probes)), tolerance=_PROBE_TOLERANCE)
        return np.stack([answer[where[:, axis], 2 * colour + axis] for axis in (0, 1)], axis=1)


def _factorised(matrix: sp.csc_matrix) -> SuperLU:
    return splu(
        sp.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )


def _inverse_diagonal(matrix: Floats) -> Floats:
    """Diagonal (n,) of the inverse of a positive matrix (n, n); what nothing speaks for is very uncertain."""
    size = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-30))
    scaled = matrix * size[:, None] * size
    scaled[np.diag_indices(len(scaled))] += _RIDGE
    root, failed = lapack.dpotrf(scaled, lower=1)
    if failed:
        return np.asarray(np.diag(np.linalg.pinv(matrix, hermitian=True)))
    return np.asarray(np.diag(lapack.dpotri(root, lower=1)[0]) * size**2)


def colours(x: Floats, y: Floats) -> Ints:
    """Colours (n,) such that columns of one colour are far apart: each column in turn takes the first that is free."""
    points = np.stack([x, y], axis=1)
    tree = cKDTree(points)
    gap = max(float(np.median(tree.query(points, k=2)[0][:, 1])), 1e-6)
    pairs = tree.query_pairs(_PROBE_DISTANCE * gap, output_type="ndarray")
    order = np.lexsort((x, np.floor(y / gap)))  # row by row, where few colours suffice
    rank = np.argsort(order)
    later, earlier = np.sort(rank[pairs], axis=1)[:, ::-1].T
    later, earlier = later[by := np.argsort(later, kind="stable")], earlier[by]
    start = np.searchsorted(later, np.arange(len(x) + 1)).tolist()
    taken: list[int] = []  # one bit for the colour of each column
    near = earlier.tolist()
    for k in range(len(x)):
        used = 0
        for i in near[start[k] : start[k + 1]]:
            used |= taken[i]
        taken.append(~used & (used + 1))
    found = np.empty(len(x), np.int64)
    found[order] = [bit.bit_length() - 1 for bit in taken]
    return found


def neighbours(state: model.ColumnState, reach_px: float) -> tuple[Ints, Ints]:
    """Pairs (m,), (m,) of columns that overlap, each once."""
    pairs = cKDTree(np.stack([state.x, state.y], axis=1)).query_pairs(reach_px, output_type="ndarray")
    return pairs[:, 0], pairs[:, 1]


def assemble(
    layout: Layout,
    state: model.ColumnState,
    unit: float,
    moments: tuple[Floats, Floats, Floats],
    pairs: tuple[Ints, Ints, Floats],
    background: Background,
    node_terms: tuple[Floats, sp.csr_matrix],
) -> Normal:
    """Normal equations from moments (n, 3, 3) of the score times each Gaussian, (n, 5, 5) of the weight times it and
    times its square, blocks (m, 6, 6) of ``pairs`` of columns, and gradient and information of the background.
    """
    node_gradient, node_matrix = node_terms
    n, k, first = layout.columns, layout.own, layout.first_node
    c = model.coefficients(state, unit)
    t = layout.projection
    own6 = c @ model.moment_matrix(moments[2]) @ np.swapaxes(c, 1, 2)
    one, two, pair6 = pairs
    node_index, taylor = background.near(state.x, state.y, unit)
    cross6 = c @ model.moment_matrix(moments[1]) @ taylor  # (n, 6, 16)

    base = np.arange(n) * k
    span = np.arange(k)
    rows = [_rows(base, span, k)]
    cols = [_cols(base, span, k)]
    values = [(t.T @ own6 @ t).ravel()]
    pair = t.T @ pair6 @ t
    for a, b, block in ((one, two, pair), (two, one, np.swapaxes(pair, 1, 2))):
        rows.append(_rows(base[a], span, k))
        cols.append(_cols(base[b], span, k))
        values.append(block.ravel())
    cross = t.T @ cross6  # (n, k, 16)
    r = np.broadcast_to((base[:, None] + span)[:, :, None], cross.shape).ravel()
    q = np.broadcast_to((first + node_index)[:, None, :], cross.shape).ravel()
    rows += [r, q]
    cols += [q, r]
    values += [cross.ravel(), cross.ravel()]
    if not layout.free:
        g = _COMMON
        common = own6 @ g  # (n, 6, 3): what moves column i against the common shape
        np.add.at(common, one, pair6 @ g)
        np.add.at(common, two, np.swapaxes(pair6, 1, 2) @ g)
        border = t.T @ common
        last = layout.count - 3 + np.arange(3)
        r = np.broadcast_to((base[:, None] + span)[:, :, None], border.shape).ravel()
        q = np.broadcast_to(last, border.shape).ravel()
        node_border = np.zeros((layout.nodes, 3))
        np.add.at(node_border, node_index.ravel(), np.swapaxes(cross6, 1, 2).reshape(-1, 6) @ g)
        nr, nq = np.repeat(first + np.arange(layout.nodes), 3), np.tile(last, layout.nodes)
        rows += [r, q, nr, nq, np.repeat(last, 3)]
        cols += [q, r, nq, nr, np.tile(last, 3)]
        values += [border.ravel(), border.ravel(), node_border.ravel(), node_border.ravel()]
        values.append((g.T @ common.sum(axis=0)).ravel())
    nodes = node_matrix.tocoo()
    rows.append(nodes.row + first)
    cols.append(nodes.col + first)
    values.append(nodes.data)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    gradient = gradient_of(layout, c, moments[0], node_gradient)
    return Normal(layout, sp.csr_matrix(entries, shape=(layout.count,) * 2), gradient)


def gradient_of(layout: Layout, coefficients: Floats, score_moments: Floats, node_gradient: Floats) -> Floats:
    """Gradient (count,) from the columns' derivatives (n, 6, 6), the moments of the score and the background's part."""
    of_columns = (coefficients @ model.moment_vector(score_moments)[..., None])[..., 0]
    gradient = np.zeros(layout.count)
    layout.columns_of(gradient)[:] = of_columns @ layout.projection
    layout.nodes_of(gradient)[:] = node_gradient.ravel()
    if layout.common:
        gradient[-3:] = of_columns.sum(axis=0) @ _COMMON
    return gradient


def _rows(base: Ints, span: Ints, k: int) -> Ints:
    return np.repeat(base[:, None] + span, k, axis=1).ravel()


def _cols(base: Ints, span: Ints, k: int) -> Ints:
    return np.tile(base[:, None] + span, (1, k)).ravel()
