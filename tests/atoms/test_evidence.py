"""How many columns: dumbbells are two, noise is none, doubles are one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.atoms import evidence, model, refine
from atomseg_app.atoms.problem import Scene
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render

EVERYWHERE = (-0.5, -0.5, 9999.0, 9999.0)


def dumbbells(*, apart_px: float, sigma_px: float, peak: float, seed: int = 2):
    """Pairs along x on a staggered lattice as in Si [110], with the centres of the pairs."""
    rng = np.random.default_rng(seed)
    cx, cy = (g.ravel() for g in np.meshgrid(np.arange(40, 360, 44.0), np.arange(30, 370, 30.0)))
    cx = cx + np.where(np.rint((cy - 30) / 30) % 2 == 1, 22.0, 0.0) + rng.normal(0, 0.4, len(cx))
    x = np.concatenate([cx - apart_px / 2, cx + apart_px / 2])
    n = len(x)
    truth = TrueColumns(
        x, np.tile(cy, 2), peak * rng.uniform(0.8, 1.2, n), np.full(n, sigma_px), np.full(n, 0.3 * peak)
    )
    return truth, poisson(render(truth, (400, 400)), rng), cx, cy


def resolved(values, x, y, sigma_px, spacing_px=30.0):
    scene = Scene.of(values, torch.device("cpu"))
    start = model.ColumnState(x, y, np.full(len(x), 0.8), model.round_root(np.full(len(x), sigma_px)))
    fit = refine.fit(scene, start, spacing_px, Report())
    return evidence.resolve(fit, np.ones(len(x)), 0.1, EVERYWHERE, Report())


def matched(found: model.ColumnState, truth: TrueColumns, radius_px: float) -> int:
    distance = np.hypot(found.x[:, None] - truth.x_px, found.y[:, None] - truth.y_px)
    return int(np.sum(distance.min(axis=0) < radius_px))


def test_dumbbells_seen_as_one_blob_each_become_pairs():
    """Si [110]: 13.9 px apart at 10 pm a pixel; the common shape swallows them until pairs are tried."""
    truth, values, cx, cy = dumbbells(apart_px=13.9, sigma_px=5.5, peak=60.0)
    found = resolved(values, cx, cy, 8.0).fit.state
    assert len(found) == len(truth.x_px)
    assert matched(found, truth, 2.5) == len(truth.x_px)


def test_one_dumbbell_among_single_columns_is_split(lattice):
    image = lattice(240, 80.0)
    t = image.truth
    pair = TrueColumns(
        np.append(t.x_px, t.x_px[60] + 9.0), np.append(t.y_px, t.y_px[60]), np.append(t.amplitude, t.amplitude[60]),
        np.append(t.sigma_px, 4.0), np.append(t.background, t.background[0]),
    )  # fmt: skip
    values = poisson(render(pair, (240, 240)), np.random.default_rng(7))
    found = resolved(values, t.x_px.copy(), t.y_px.copy(), 4.2, 20.0).fit.state
    assert len(found) == len(pair.x_px)
    assert matched(found, pair, 1.5) == len(pair.x_px)


@pytest.mark.parametrize("peak", [5.0, 50.0])
def test_nothing_changes_where_nothing_is_wrong(lattice, peak):
    image = lattice(360, peak, seed=6)
    fit = image.fit()
    assert len(evidence.resolve(fit, np.ones(len(fit.state)), 0.1, EVERYWHERE, Report()).fit.state) == len(
        image.truth.x_px
    )


def test_an_astigmatic_probe_is_no_dumbbell():
    """Elliptical columns, 1.5 long, stay one column each: twice the unknowns save too little."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:300, :300].astype(float)
    cx, cy = (g.ravel() for g in np.meshgrid(np.arange(20, 290, 26.0), np.arange(20, 290, 26.0)))
    clean = np.full(x.shape, 15.0)
    for px, py in zip(cx, cy, strict=True):
        clean += 50 * np.exp(-((x - px) ** 2) / (2 * 4.8**2) - (y - py) ** 2 / (2 * 3.2**2))
    found = resolved(poisson(clean, rng), cx, cy, 4.0, 26.0).fit.state
    assert len(found) == len(cx)
    assert np.median(found.axes()[0] / found.axes()[1]) == pytest.approx(1.5, rel=0.03)


def test_doubled_detections_are_merged(lattice):
    image = lattice(240, 30.0)
    t = image.truth
    x = np.append(t.x_px, t.x_px[[10, 50]] + 4.5)
    y = np.append(t.y_px, t.y_px[[10, 50]] - 1.0)
    found = resolved(image.values, x, y, 4.2, 20.0).fit.state
    assert len(found) == len(t.x_px)
    assert matched(found, t, 1.0) == len(t.x_px)


def test_a_missed_column_is_added(lattice):
    image = lattice(240, 15.0)
    t = image.truth
    keep = np.delete(np.arange(len(t.x_px)), [20, 77])
    found = resolved(image.values, t.x_px[keep], t.y_px[keep], 4.2, 20.0).fit.state
    assert len(found) == len(t.x_px)
    assert matched(found, t, 1.5) == len(t.x_px)


def test_columns_that_noise_put_between_others_are_taken_out(lattice):
    image = lattice(240, 30.0)
    t = image.truth
    x, y = np.append(t.x_px, t.x_px[[30, 60, 75]] + 10.0), np.append(t.y_px, t.y_px[[30, 60, 75]] + 10.0)
    found = resolved(image.values, x, y, 4.2, 20.0).fit.state
    assert len(found) == len(t.x_px)
    assert matched(found, t, 1.0) == len(t.x_px)
