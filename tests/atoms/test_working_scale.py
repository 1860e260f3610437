"""Counting on larger pixels changes neither where columns are nor how large they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.atoms import refine
from atomseg_app.atoms.problem import Scene
from atomseg_app.atoms.working_scale import WorkingScale
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, render


@pytest.mark.parametrize(("sigma_px", "factor"), [(1.0, 1), (5.4, 1), (5.6, 2), (8.3, 3)])
def test_pixels_stay_finer_than_a_third_of_a_width(sigma_px, factor):
    assert WorkingScale.of(sigma_px).factor == factor


def test_columns_found_on_blocks_are_those_of_the_file():
    """Without noise: x, y, amplitude and width in pixels of the file, from a fit to blocks of 2 x 2 alone."""
    x, y = (g.ravel() for g in np.meshgrid(np.arange(30, 170, 34.0), np.arange(28, 170, 34.0)))
    x, y = x + np.linspace(0, 1, len(x)), y + np.linspace(1, 0, len(y))
    n = len(x)
    truth = TrueColumns(x, y, np.linspace(60, 100, n), np.full(n, 6.0), np.full(n, 20.0))
    scene = Scene.of(render(truth, (201, 200)), torch.device("cpu"))
    work = WorkingScale(2)
    start = work.columns(x + 0.4, y - 0.3, 0.9 * truth.amplitude / scene.scale, 6.3)
    fit = refine.fit(work.scene(scene), start, 17.0, Report())
    fine = work.in_file(fit, scene, Report())
    for found, tolerance in ((work._state_in_file(fit.state), 1.0), (fine.state, 0.2)):
        assert found.x == pytest.approx(x, abs=0.02 * tolerance)
        assert found.y == pytest.approx(y, abs=0.02 * tolerance)
        assert found.sigma == pytest.approx(6.0, rel=0.01 * tolerance)
        assert found.amplitude * scene.scale == pytest.approx(truth.amplitude, rel=0.02 * tolerance)
    assert fine.problem.scene is scene


def test_a_block_with_a_pixel_that_does_not_count_does_not_count():
    values = np.arange(30.0).reshape(5, 6)
    values[3, 2] = np.nan
    blocks = WorkingScale(2).scene(Scene.of(values, torch.device("cpu")))
    assert blocks.valid.tolist() == [[True, True, True], [True, False, True]]
    assert float(blocks.data[0, 0]) * blocks.scale + blocks.offset == pytest.approx(np.mean([0, 1, 6, 7]), abs=1e-4)
