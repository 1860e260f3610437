"""Finding with the bundled network: any scale, grey level and polarity; nothing in noise; clear refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from atomseg_app.atoms.column_model import column_network
from atomseg_app.atoms.enhance import enhance
from atomseg_app.atoms.find import _of_known_width, find_columns
from atomseg_app.atoms.network_operations import Enhance
from atomseg_app.atoms.network_pass import NetworkPass, resampled, resampling
from atomseg_app.atoms.network_scale import Look, _chosen, _levelled, column_scale
from atomseg_app.atoms.operations import FindColumns
from atomseg_app.benchmarks.matching import score
from atomseg_app.data import Image
from atomseg_app.errors import UserError
from atomseg_app.io.files import read
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice

CPU = torch.device("cpu")


def simulated(size: int, spacing: float, peak: float, seed: int = 1) -> tuple[np.ndarray, TrueColumns]:
    rng = np.random.default_rng(seed)
    columns = square_lattice(size, spacing, rng, displacement_px=0.03 * spacing, peak=peak, rotation_deg=8)
    return poisson(render(columns, (size, size)), rng).astype(np.float32), columns


def seen(values: np.ndarray, **parameters: object) -> np.ndarray:
    """Positions by the network alone."""
    return find_columns(Image(values), FindColumns(refine=False, **parameters), Report()).xy_px


def quality(found: np.ndarray, columns: TrueColumns, spacing: float) -> float:
    return score(found, np.stack([columns.x_px, columns.y_px], axis=1), min(0.3 * spacing, 3.0)).f1


@pytest.mark.parametrize("spacing", [7.0, 12.0, 25.0, 60.0])
def test_columns_of_any_size_are_found(spacing):
    values, columns = simulated(256, spacing, 50.0)
    assert quality(seen(values), columns, spacing) > 0.98


def test_the_scale_is_that_of_the_columns():
    for spacing in (10.0, 30.0):
        values, _ = simulated(256, spacing, 80.0)
        scale = column_scale(column_network("columns", CPU), values, "auto", None, CPU)
        assert scale.sign == 1
        assert scale.sigma_px == pytest.approx(0.2 * spacing, rel=0.3)


def test_grey_levels_and_direction_do_not_matter():
    values, columns = simulated(256, 16.0, 40.0)
    first = seen(values)
    assert np.allclose(seen(values * 37.0 - 5000.0), first, atol=0.02)
    turned = seen(np.ascontiguousarray(values[:, ::-1]))
    turned[:, 0] = 255 - turned[:, 0]
    assert quality(turned, columns, 16.0) > 0.98


def test_dark_columns_are_told_from_bright_ones():
    values, columns = simulated(256, 16.0, 200.0)
    dark = find_columns(Image(values.max() * 1.1 - values), FindColumns(refine=False), Report())
    assert quality(dark.xy_px, columns, 16.0) > 0.98
    assert (dark.table["amplitude"] < 0).all()


def test_noise_holds_no_columns():
    for seed in range(4):
        noise = np.random.default_rng(seed).poisson(10.0, (256, 256)).astype(np.float32)
        assert len(find_columns(Image(noise), FindColumns(), Report())) <= 1


def test_a_flat_image_holds_none():
    assert len(find_columns(Image(np.full((64, 64), 3.0)), FindColumns(), Report())) == 0


def test_a_pair_is_two_columns_and_stays_so_when_enlarged():
    rng = np.random.default_rng(4)
    pairs = square_lattice(128, 20.0, rng, displacement_px=0.2, sigma_px=2.0, peak=200.0)
    both = [np.tile(v, 2) for v in (pairs.amplitude, pairs.sigma_px)]
    x, y = np.concatenate([pairs.x_px - 3.2, pairs.x_px + 3.2]), np.tile(pairs.y_px, 2)
    columns = TrueColumns(x, y, *both, np.zeros(len(x)))
    values = poisson(20 + render(columns, (128, 128)), rng).astype(np.float32)
    inner = (abs(x - 63.5) < 50) & (abs(y - 63.5) < 50)
    for times in (1, 3):
        found = (seen(np.kron(values, np.ones((times, times), np.float32))) + 0.5) / times - 0.5
        near = cKDTree(found).query(np.stack([x, y], axis=1)[inner])[0]
        assert (near < 1.5).mean() > 0.97
        assert (abs(found - 63.5).max(axis=1) < 50).sum() == pytest.approx(inner.sum(), abs=2)


def test_texture_beside_a_crystal_is_no_column_of_the_fit_either():
    rng = np.random.default_rng(3)
    crystal = square_lattice(256, 12.0, rng, displacement_px=0.3, peak=60.0, rotation_deg=8)
    texture = ndimage.gaussian_filter(rng.normal(size=(256, 256)), 2.0)
    outside = np.arange(256)[None, :] >= 128
    expected = np.where(outside, 20 + 9 * texture / texture.std(), 20 + render(crystal, (256, 256)))
    values = rng.poisson(expected.clip(0)).astype(np.float32)
    alone, fitted = seen(values), find_columns(Image(values), FindColumns(), Report()).xy_px
    assert (fitted[:, 0] > 132).sum() <= (alone[:, 0] > 132).sum() + 2 <= 8
    assert len(fitted) == pytest.approx(len(alone), abs=4)


def test_a_width_that_is_known_is_kept(lattice):
    simulated_columns = lattice(128, 50.0)
    start = simulated_columns.start()
    fit = _of_known_width(simulated_columns.scene(), start, 20.0, Report())
    assert np.median(fit.state.sigma) == pytest.approx(np.median(start.sigma), rel=0.03)
    errors, _ = simulated_columns.errors(fit.state.x, fit.state.y)
    assert np.sqrt(np.mean(errors**2)) < 0.3


def test_the_magnification_is_chosen_by_what_is_explained_and_how_wide_it_is_drawn():
    def look(explained: float, columns: int, drawn_px: float, sigma_px: float) -> Look:
        return Look(explained, columns / 256**2, columns, drawn_px, sigma_px)

    nothing = Look(0.0, 0.0, 0, math.nan, math.nan)
    specks, few = look(0.04, 575, 1.5, 1.5 / 2.25), look(0.07, 2, 3.4, 7.6)
    assert _chosen({8 / 9: specks, 2.0: nothing, 4.5: few}) == 4.5
    wide, right = look(0.85, 900, 2.9, 1.3), look(0.80, 850, 1.9, 1.3)
    assert _chosen({8 / 9: wide, 4 / 3: right, 2.0: look(0.5, 300, 1.5, 1.5)}) == 4 / 3
    merged, pairs = look(0.79, 54, 1.88, 9.3), look(0.78, 72, 1.79, 6.1)
    assert _chosen({6.75: pairs, 10.125: merged, 15.2: look(0.66, 36, 1.5, 11.6)}) == 6.75


def test_slow_changes_of_the_grey_level_are_levelled_and_columns_are_not():
    x = torch.arange(200.0)
    slope = (3 * x[None, :] + 2 * x[:, None]).contiguous()
    assert _levelled(slope)[40:-40, 40:-40].abs().max() < 1e-2
    column = torch.exp(-((x[:, None] - 100) ** 2 + (x[None, :] - 100) ** 2) / 8)
    # Blurred, a Gaussian of width 2 under one of width 6 has 1/10 of its height.
    assert float(_levelled(column)[100, 100]) == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize(
    ("name", "fewest", "most", "dark"),
    [
        ("Si110_5nmX25us_03_none_none.png", 360, 420, False),
        ("test_ABF_cropped.hdf5", 330, 400, True),
        ("0.png", 640, 720, False),
    ],
)
def test_number_and_polarity_of_columns_of_micrographs(data_folder, name, fewest, most, dark):
    image = read(data_folder / "micrographs" / name)
    assert isinstance(image, Image)
    found = find_columns(image, FindColumns(refine=False), Report())
    assert fewest <= len(found) <= most
    assert bool(np.median(found.table["amplitude"]) < 0) == dark


def test_resampling_and_its_way_back():
    assert resampling(2.0) == 1.0
    assert resampling(8.0) == pytest.approx(0.25)
    values, _ = simulated(300, 40.0, 50.0)
    image = NetworkPass.of(values, 8.0, 1, CPU)
    assert image.pixels.shape == (75, 75)
    assert image.in_file(0.0, 1) == pytest.approx(1.5)  # the centre of the first four pixels
    line = torch.arange(60.0)[None, :].expand(60, 60).contiguous()
    half = resampled(line, (30, 30))
    assert torch.allclose(half[5:-5, 5:-5], (torch.arange(30.0) * 2 + 0.5)[None, 5:-5].expand(20, 20), atol=0.05)


def test_enhanced_pictures_are_nearer_the_truth():
    values, columns = simulated(256, 16.0, 8.0)
    clean = render(columns, (256, 256))
    image = Image(values, (0.01, 0.01))
    denoised = enhance(image, Enhance(), Report())
    assert denoised.values.shape == values.shape
    assert denoised.values.dtype == np.float32
    assert denoised.pixel_size_nm == image.pixel_size_nm
    assert np.mean((denoised.values - clean) ** 2) < 0.1 * np.mean((values - clean) ** 2)
    without = enhance(image, Enhance(output="background-free"), Report())
    # How much of a dense lattice's mean is background nobody can say: the constant does not count.
    assert np.var(without.values - clean) < 0.1 * np.mean((values - clean) ** 2)
    mask = enhance(image, Enhance(output="mask"), Report()).values
    assert 0 <= mask.min() <= mask.max() <= 1
    at = np.rint([columns.y_px, columns.x_px]).astype(int)
    assert mask[at[0], at[1]].mean() > 0.8
    sharp = enhance(image, Enhance(output="super-resolved"), Report()).values
    assert sharp[at[0], at[1]].mean() > 5 * abs(np.median(sharp))


def test_what_is_no_column_network_is_refused():
    with pytest.raises(UserError, match="nothing-like-this"):
        find_columns(Image(np.eye(64)), FindColumns(model="nothing-like-this"), Report())
    with pytest.raises(UserError, match="no contrast"):
        enhance(Image(np.zeros((64, 64))), Enhance(), Report())
