"""Scan noise is taken out where there is any, and columns stay where they are: displaced at random."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.atoms import precision, scanlines
from atomseg_app.operations import Report


def displaced(image, rms_px: float, length_px: float, seed: int):
    """The image with each line moved along x by an amount that changes slowly along the line, and counted."""
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(seed)
    size = len(image.values)
    steps = np.arange(0, size + 8, 8)
    rho = np.exp(-8 / length_px)
    nodes = [rng.normal(0, rms_px, size)]
    for _ in steps[1:]:
        nodes.append(rho * nodes[-1] + np.sqrt(1 - rho**2) * rng.normal(0, rms_px, size))
    shift = np.stack([np.interp(np.arange(size), steps, row) for row in np.array(nodes).T])
    y, x = np.mgrid[:size, :size].astype(float)
    clean = map_coordinates(image.values, [y, x - shift], order=3, mode="nearest")
    return type(image)(image.truth, rng.poisson(np.maximum(clean, 0)).astype(float))


def test_displaced_lines_are_put_back(lattice):
    noisy = displaced(lattice(400, 80.0, noisy=False), 1.0, 250.0, 4)
    fit = noisy.fit()
    report = Report()
    straight = scanlines.straighten(fit, report)
    before, _ = noisy.errors(fit.state.x, fit.state.y)
    after, _ = noisy.errors(straight.fit.state.x, straight.fit.state.y)
    assert after[:, 0].std() < 0.9 * before[:, 0].std()
    assert after[:, 1].std() < 1.1 * before[:, 1].std()
    bars = precision.position_errors(straight.fit) * np.sqrt(straight.widening)
    among_themselves = after[:, 0] - after[:, 0].mean()  # a common shift of the whole image is no error of a column
    assert np.mean(np.abs(among_themselves) < bars[:, 0]) == pytest.approx(0.683, abs=0.1)
    assert "along x" in report.facts.notes[0]


@pytest.mark.parametrize("peak", [5.0, 100.0])
def test_an_image_without_scan_noise_is_left_alone(lattice, peak):
    fit = lattice(400, peak, seed=9).fit()
    straight = scanlines.straighten(fit, Report())
    assert straight.fit is fit
    assert straight.widening.tolist() == [1.0, 1.0]
