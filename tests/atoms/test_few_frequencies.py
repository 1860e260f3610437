"""A Bragg-filtered image is told from a recorded one, and the user is told of its fringes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage

from atomseg_app.atoms.few_frequencies import few_frequencies
from atomseg_app.io.files import read
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice

SIZE = 256


@pytest.fixture(scope="module")
def particle():
    """Counts (y, x) of a particle: a lattice of columns 16 px apart within a disc, 50 counts at a peak."""
    rng = np.random.default_rng(3)
    lattice = square_lattice(SIZE, 16, rng, displacement_px=0.2, peak=50)
    inside = np.hypot(lattice.x_px - SIZE / 2, lattice.y_px - SIZE / 2) < 80
    columns = TrueColumns(*(np.asarray(values)[inside] for values in vars(lattice).values()))
    return poisson(render(columns, (SIZE, SIZE)), rng)


def bragg_filtered(values):
    """Only the four spots of the lattice, each within two frequency steps."""
    spectrum = fft.fft2(values - values.mean())
    y, x = (fft.fftfreq(SIZE, 1 / SIZE)[:, None], fft.fftfreq(SIZE, 1 / SIZE)[None, :])
    keep = np.zeros((SIZE, SIZE), bool)
    for across, down in ((16, 0), (-16, 0), (0, 16), (0, -16)):
        keep |= np.hypot(x - across, y - down) < 2
    return fft.ifft2(spectrum * keep).real


def test_filtered_and_recorded(particle):
    assert few_frequencies(bragg_filtered(particle))
    assert not few_frequencies(particle)


def test_also_in_grey_levels(particle):
    filtered = bragg_filtered(particle)
    assert few_frequencies(np.rint(255 * (filtered - filtered.min()) / np.ptp(filtered)).astype(np.uint8))


@pytest.mark.parametrize("blur", [0, 1.0])
def test_noise_without_columns_is_no_filter(blur):
    assert not few_frequencies(ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(SIZE, SIZE)), blur))


def test_nothing_to_tell():
    assert not few_frequencies(np.zeros((SIZE, SIZE)))
    assert not few_frequencies(np.eye(20))


@pytest.mark.parametrize(
    ("name", "filtered"),
    [("2.png", True), ("0.png", False), ("1.png", False), ("04_aligned_blind6_none_crop.png", False)],
)
def test_real_images(data_folder, name, filtered):
    assert few_frequencies(read(data_folder / "micrographs" / name).values) == filtered
