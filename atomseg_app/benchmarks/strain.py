"""Figures of *Measure strain*: accuracy on simulated images against the bound, honesty of error bars, GPA beside it.

The image is that of ``bench columns``: columns of 50 counts at the peak, sigma 4 px, background 0.3 of the peak, 20 px
apart, Poisson counts; found and fitted with nothing set. They are displaced by a plane wave along x with a period of
15 spacings, so that the strain is a cosine whose amplitude is given. The truth is the strain at the column, so what a
window blurs counts as error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from atomseg_app import operations
from atomseg_app.atoms.bound import position_bound
from atomseg_app.atoms.physics_operations import GEOMETRIC_PHASE, MEASURE_STRAIN
from atomseg_app.benchmarks.columns import find
from atomseg_app.benchmarks.table import print_table
from atomseg_app.data import Columns, Image, ImageSeries
from atomseg_app.simulate.columns import Floats, TrueColumns, poisson, render

_SIZE_PX, _SPACING_PX, _SIGMA_PX, _PEAK, _BACKGROUND = 1024, 20.0, 4.0, 50.0, 0.3
_PERIOD = 15  # spacings
_AMPLITUDES = (0.005, 0.01)
_SEEDS = (1, 2)
_EDGE = 5.0  # spacings from the outermost columns that do not count, for all methods alike
_TITLE = f"""Strain: {_SIZE_PX} x {_SIZE_PX}, spacing {_SPACING_PX:g} px, peak {_PEAK:g} counts, sigma {_SIGMA_PX:g} px.
Columns are displaced along x by a wave of {_PERIOD} spacings whose strain has the amplitude given.
Error rms in % against the true strain at each column, {_EDGE:g} spacings and more inside, with what the window blurs;
share of errors inside one error bar (0.683 if honest; the blur is not in the bars).
Bound: affine fit to positions at theirs. The mask of GPA blurs the wave as much as the window does."""
_COMPONENTS = ("strain_xx", "strain_yy", "strain_xy")


def run() -> int:
    """Print the table. Returns 0."""
    rows: list[list[object]] = []
    for amplitude in _AMPLITUDES:
        scenes = [scene(amplitude, seed) for seed in _SEEDS]
        for window, order in ((3, "affine"), (5, "affine"), (9, "cubic")):
            scores = [by_columns(one, window, order) for one in scenes]
            name = f"columns, {order} {window} x {window}"
            rows.append([f"{amplitude:.1%}", name, *_mean(scores), 100 * bound(window) if order == "affine" else ""])
        for window in (3, 5):
            size = equal_mask(window)
            rows.append(
                [
                    f"{amplitude:.1%}",
                    f"GPA, mask as {window} x {window}",
                    *_mean([by_gpa(one, size) for one in scenes]),
                    "",
                ]
            )
    print_table(
        _TITLE,
        ["amplitude", "method", "error xx", "error yy", "error xy", "inside 1, xx", "inside 1, yy", "bound"],
        rows,
    )
    return 0


@dataclass(frozen=True)
class Scene:
    """A simulated image, its columns as found, and the true strain xx at positions."""

    image: Image
    found: Columns
    truth: TrueColumns
    strain_xx: Floats


def scene(amplitude: float, seed: int) -> Scene:
    """Image and truth; the crystal is turned by nothing, its outermost columns 12 px inside."""
    rng = np.random.default_rng(seed)
    count = int((_SIZE_PX - 24) // _SPACING_PX) + 1
    first = (_SIZE_PX - 1 - (count - 1) * _SPACING_PX) / 2
    cells = np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2)
    phase = 2 * np.pi * cells[:, 0] / _PERIOD + rng.uniform(0, 2 * np.pi)
    x, y = (first + cells * _SPACING_PX).T
    x = x + amplitude * _SPACING_PX * _PERIOD / (2 * np.pi) * np.sin(phase)
    n = len(x)
    truth = TrueColumns(
        x, y, _PEAK * rng.uniform(0.7, 1.3, n), np.full(n, _SIGMA_PX), np.full(n, _BACKGROUND * _PEAK)
    )  # fmt: skip
    values = poisson(render(truth, (_SIZE_PX, _SIZE_PX)), rng)
    return Scene(Image(values), find(values), truth, amplitude * np.cos(phase))


def _inside(truth: TrueColumns) -> npt.NDArray[np.bool_]:
    edge = _EDGE * _SPACING_PX
    inside = np.ones(len(truth.x_px), bool)
    for place in (truth.x_px, truth.y_px):
        inside &= (place > place.min() + edge) & (place < place.max() - edge)
    return inside


def by_columns(one: Scene, window: int, order: str) -> list[float]:
    """Errors xx, yy, xy in % rms and shares inside one error bar for xx, yy."""
    parameters = MEASURE_STRAIN.parse({"window": window, "order": order})
    measured = operations.run(MEASURE_STRAIN, (one.found,), parameters, operations.Report())
    assert isinstance(measured, Columns)
    rows = np.flatnonzero(_inside(one.truth))
    distance, to = cKDTree(measured.xy_px).query(np.stack([one.truth.x_px, one.truth.y_px], axis=1)[rows])
    rows, to = rows[distance < _SPACING_PX / 4], to[distance < _SPACING_PX / 4]
    table = measured.table[to]
    errors = [table[name] - (one.strain_xx[rows] if name == "strain_xx" else 0) for name in _COMPONENTS]
    errors[0] = errors[0] + _reference_strain(one)
    inside = [
        float(np.mean(np.abs(e) < table[f"{name}_err"])) for e, name in zip(errors, _COMPONENTS[:2], strict=False)
    ]
    return [*_rms(errors), *inside]


def _reference_strain(one: Scene) -> float:
    """Strain xx of the true mean lattice, which the measured one is relative to."""
    cells = np.rint((one.truth.y_px - one.truth.y_px.min()) / _SPACING_PX), np.arange(len(one.truth.x_px))
    columns = cells[1] % int(np.sqrt(len(cells[1])))
    slope = np.polyfit(columns, one.truth.x_px, 1)[0]
    return float(slope / _SPACING_PX - 1)


def by_gpa(one: Scene, mask_size: float) -> list[float]:
    """Errors xx, yy, xy in % rms of the maps at the columns; no error bars."""
    report = operations.Report()
    parameters = GEOMETRIC_PHASE.parse({"mask_size": mask_size})
    maps = operations.run(GEOMETRIC_PHASE, (one.image,), parameters, report)
    assert isinstance(maps, ImageSeries)
    rows = np.flatnonzero(_inside(one.truth))
    x, y = np.rint(one.truth.x_px[rows]).astype(int), np.rint(one.truth.y_px[rows]).astype(int)
    errors = [maps.values[place, y, x].astype(float) for place in range(3)]
    errors[0] = errors[0] - one.strain_xx[rows]
    errors = [error - np.nanmedian(error) for error in errors]  # its reference is another mean of the same crystal
    return [*_rms(errors), np.nan, np.nan]


def _rms(errors: list[Floats]) -> list[float]:
    return [100 * float(np.sqrt(np.nanmean(error**2))) for error in errors]


def _mean(scores: list[list[float]]) -> list[object]:
    means = np.mean(scores, axis=0)
    return ["" if np.isnan(mean) else float(mean) for mean in means]


def bound(window: int) -> float:
    """Smallest error of a strain by an affine fit over a window, from the bound of mean columns."""
    sigma = position_bound(0.0, 0.0, _PEAK, _SIGMA_PX, _BACKGROUND * _PEAK)[0]
    steps = np.arange(window) - window // 2
    return float(sigma / (_SPACING_PX * np.sqrt(window * (steps**2).sum())))


def equal_mask(window: int) -> float:
    """Size of GPA's Gaussian mask, in reflections, that passes as much of the wave as the affine fit does."""
    steps, turn = np.arange(window) - window // 2, 2 * np.pi / _PERIOD
    passed = (steps * np.sin(turn * steps)).sum() / (turn * (steps**2).sum())
    return float(1 / _PERIOD / np.sqrt(-2 * np.log(passed)))


if __name__ == "__main__":
    run()
