"""An enlarged image is brought back to the pixels of its recording, and gives the columns of the recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage
from scipy import fft, ndimage

from atomseg_app import operations
from atomseg_app.atoms.adapt import _appearance
from atomseg_app.atoms.appearance import appearance_of
from atomseg_app.atoms.network_operations import ENHANCE
from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS
from atomseg_app.atoms.own_sampling import OwnSampling
from atomseg_app.data import Image, column_table
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import poisson, render, square_lattice

SIZE = 192


@pytest.fixture(scope="module")
def recorded():
    """Counts (y, x) of a lattice of columns 16 px apart, 40 at a column's peak."""
    rng = np.random.default_rng(11)
    columns = square_lattice(SIZE, 16, rng, displacement_px=0.5, peak=40)
    return poisson(render(columns, (SIZE, SIZE)), rng)


def own(values, region=None):
    height, width = values.shape
    return OwnSampling.of(Image(values), region or (0, 0, width, height))


def cubic(values, times):
    return ndimage.zoom(np.asarray(values, float), times, order=3, mode="nearest", grid_mode=True)


def linear(values, times):
    return ndimage.zoom(np.asarray(values, float), times, order=1)


def linear_by_edges(values, times):
    return ndimage.zoom(np.asarray(values, float), times, order=1, mode="nearest", grid_mode=True)


def bilinear(values, times):
    height, width = (round(size * times) for size in values.shape)
    picture = PillowImage.fromarray(np.asarray(values, np.float32))
    return np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR))


def padded_spectrum(values, times):
    """Trigonometric interpolation: zeros beyond the old Nyquist frequency."""
    old = fft.fftshift(fft.fft2(values))
    more = (times - 1) * len(values) // 2
    return fft.ifft2(fft.ifftshift(np.pad(old, more))).real


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("enlarged", [cubic, padded_spectrum])
def test_enlarged_images_are_told_by_how_much(recorded, enlarged, times):
    assert own(enlarged(recorded, times)).factor == times


def test_a_broken_enlargement_is_told_roughly(recorded):
    assert own(cubic(recorded, 2.4)).factor == pytest.approx(2.4, rel=0.05)


def test_enlarged_and_rounded_to_grey_levels(recorded):
    fine = cubic(recorded, 2)
    grey = np.clip(np.rint(255 * (fine - fine.min()) / np.ptp(fine)), 0, 255).astype(np.uint8)
    assert own(grey).factor == 2


@pytest.mark.parametrize("times", [1.5, 2, 3, 2.4])
@pytest.mark.parametrize("enlarged", [linear, linear_by_edges, bilinear])
def test_linear_enlargements_are_undone_exactly(recorded, enlarged, times):
    image = Image(np.asarray(enlarged(recorded, times), np.float32))
    sampling = OwnSampling.of(image)
    assert sampling.factor == pytest.approx(times, rel=0.005)
    np.testing.assert_allclose(sampling.recorded(image).values, recorded, atol=2e-3)


@pytest.mark.parametrize("times", [1.5, 2, 3])
def test_linear_enlargements_in_grey_levels_and_parts_of_them(recorded, times):
    fine = bilinear(recorded, times)
    grey = np.rint(255 * (fine - fine.min()) / np.ptp(fine)).astype(np.uint8)
    assert own(grey).factor == times
    sampling = own(fine, (17, 11, 251, 230))
    assert sampling.factor == pytest.approx(times, rel=0.003)
    part = sampling.recorded(Image(fine)).values
    first = [round((edge + 0.5) / times - 0.5 + 0.2) for edge in (11, 17)]
    inner = part[2:-2, 2:-2]
    away = [
        np.abs(recorded[top : top + inner.shape[0], left : left + inner.shape[1]] - inner).max()
        for top in range(first[0], first[0] + 5)
        for left in range(first[1], first[1] + 5)
    ]
    assert min(away) < 0.01


@pytest.mark.parametrize("enlarged", [linear, bilinear])
def test_places_of_a_linear_enlargement_there_and_back(recorded, enlarged):
    """What lies at a recorded pixel is where the enlarged image has its corner."""
    times = 3
    image = Image(enlarged(recorded, times))
    sampling = OwnSampling.of(image)
    rows = column_table(2)
    rows["x_px"], rows["y_px"], rows["sigma_px"], rows["integrated_intensity"] = (4.0, 100.25), (7.0, 3.5), 2.0, 5.0
    out = sampling.in_file(rows)
    step = (image.shape[1] - 1) / (SIZE - 1)
    there = rows["x_px"] * step if enlarged is linear else (rows["x_px"] + 0.5) * times - 0.5
    np.testing.assert_allclose(out["x_px"], there, atol=0.02)
    back = sampling.in_own(out)
    for name in ("x_px", "y_px", "sigma_px", "integrated_intensity"):
        np.testing.assert_allclose(back[name], rows[name], rtol=1e-6)


def test_no_micrograph_is_taken_for_an_enlarged_one(data_folder):
    files = [path for path in sorted((data_folder / "micrographs").iterdir()) if path.suffix in (".png", ".npy")]
    assert len(files) >= 8
    for path in files:
        values = np.load(path) if path.suffix == ".npy" else np.asarray(PillowImage.open(path).convert("F"))
        assert own(values).factor == 1, path.name


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v,
        lambda v: v.reshape(SIZE // 2, 2, SIZE // 2, 2).sum(axis=(1, 3)),
        lambda v: ndimage.gaussian_filter(v.astype(float), 0.7),
        lambda v: ndimage.gaussian_filter(v.astype(float), 1.5),
        lambda v: ndimage.uniform_filter(v.astype(float), 2),
        lambda v: 30 * np.ones_like(v) + (np.arange(SIZE) % 3),
        lambda v: ndimage.gaussian_filter1d(v.astype(float), 1.5, axis=1),
        np.zeros_like,
        lambda v: v[:20, :20],
        lambda v: np.where(np.arange(v.size).reshape(v.shape) == 7, np.nan, cubic(cubic(v, 0.5), 2)),
    ],
    ids=[
        "as recorded",
        "halved",
        "blurred",
        "blurred more",
        "means of four",
        "stripes",
        "slow detector",
        "flat",
        "tiny",
        "with a hole",
    ],
)
def test_other_images_are_left_as_they_are(recorded, change):
    assert own(change(recorded)).factor == 1


def test_three_times_and_back_is_the_recording(recorded):
    """A pixel of the recording is the middle one of nine."""
    fine = cubic(recorded, 3).astype(np.float32)
    back = own(fine).recorded(Image(fine, (0.01, 0.02)))
    np.testing.assert_allclose(back.values, recorded, atol=1e-3)
    assert back.pixel_size_nm == (0.03, 0.06)


def test_twice_and_back_keeps_all_but_a_little_of_the_noise(recorded):
    fine = cubic(recorded, 2).astype(np.float32)
    back = own(fine).recorded(Image(fine)).values
    noise = np.sqrt(recorded.mean())
    assert np.std(back - recorded) < 0.05 * noise


def test_places_and_sizes_in_pixels_of_the_file():
    """The middle of the first own pixel lies amid the block that it covers; lengths and areas grow."""
    sampling = OwnSampling(3.0, (10, 20, 310, 170))
    rows = column_table(2)
    rows["x_px"], rows["y_px"] = (0.0, 99.5), (0.0, 49.5)
    rows["sigma_px"], rows["x_err_px"], rows["y_err_px"], rows["integrated_intensity"] = 2.0, 0.1, 0.2, 5.0
    out = sampling.in_file(rows)
    assert out["x_px"].tolist() == [11.0, 309.5]  # the outer edge is the outer edge
    assert out["y_px"].tolist() == [21.0, 169.5]
    assert out["sigma_px"][0] == 6.0
    assert out["x_err_px"][0] == pytest.approx(0.3)
    assert out["y_err_px"][0] == pytest.approx(0.6)
    assert out["integrated_intensity"][0] == 45.0


@pytest.mark.parametrize("enlarged", [cubic, bilinear])
def test_pictures_of_an_enlarged_image_are_those_of_the_recording_enlarged(recorded, enlarged):
    notes: list[str] = []
    told = Report(on_log=lambda level, message: notes.append(message))
    for output in ("denoised", "mask"):
        parameters = ENHANCE.parse({"output": output, "device": "cpu"})
        at_once = operations.run(ENHANCE, (Image(recorded),), parameters, Report())
        fine = operations.run(ENHANCE, (Image(enlarged(recorded, 3)),), parameters, told)
        assert fine.shape == (3 * SIZE, 3 * SIZE)
        np.testing.assert_allclose(fine.values[1::3, 1::3], at_once.values, atol=0.02 * np.ptp(at_once.values))
        assert fine.metadata["column_sigma_px"] == pytest.approx(3 * at_once.metadata["column_sigma_px"], rel=0.01)
    assert sum("enlarged 3 times" in note for note in notes) == 2


def test_fitting_again_in_the_recorded_pixels_keeps_error_bars(recorded):
    """Fitted to the enlarged pixels, whose noise is not independent, they would come out three times too small."""
    image = Image(bilinear(recorded, 3))
    found = operations.run(FIND_COLUMNS, (image,), FIND_COLUMNS.parse({"method": "log", "device": "cpu"}), Report())
    ids = [int(found.table["column_id"][row]) for row in (40, 60)]
    chosen = np.isin(found.table["column_id"], ids)
    moved = found.table.copy()
    moved["x_px"][chosen] += 1.0
    again = operations.run(
        REFIT_COLUMNS, (image, replace(found, table=moved)),
        REFIT_COLUMNS.parse({"column_ids": ids, "device": "cpu"}), Report(),
    ).table  # fmt: skip
    np.testing.assert_allclose(again["x_px"][chosen], found.table["x_px"][chosen], atol=0.3)
    np.testing.assert_allclose(again["x_err_px"][chosen], found.table["x_err_px"][chosen], rtol=0.25)
    assert again[~chosen].tobytes() == moved[~chosen].tobytes()


def test_an_enlarged_image_looks_like_its_recording_to_the_simulator(recorded):
    parameters = FIND_COLUMNS.parse({"method": "log", "device": "cpu"})
    plain, fine = Image(recorded), Image(bilinear(recorded, 2))
    once, twice = (operations.run(FIND_COLUMNS, (image,), parameters, Report()) for image in (plain, fine))
    expected, look = appearance_of(plain, once), _appearance(fine, twice, Report())
    assert look.sigma_px == pytest.approx(expected.sigma_px, rel=0.01)
    assert look.spacing_px == pytest.approx(expected.spacing_px, rel=0.01)
    assert look.dose == pytest.approx(expected.dose, rel=0.05)
    assert abs(look.correlation - expected.correlation) < 0.02


@pytest.mark.parametrize("method", ["network", "log"])
def test_the_same_columns_at_any_magnification(recorded, method):
    parameters = FIND_COLUMNS.parse({"method": method, "device": "cpu"})
    at_once = operations.run(FIND_COLUMNS, (Image(recorded),), parameters, Report()).table
    notes: list[str] = []
    told = Report(on_log=lambda level, message: notes.append(message))
    there = operations.run(FIND_COLUMNS, (Image(cubic(recorded, 3)),), parameters, told).table
    assert len(there) == len(at_once) >= 100
    np.testing.assert_allclose((there["x_px"] + 0.5) / 3 - 0.5, at_once["x_px"], atol=0.01)
    np.testing.assert_allclose((there["y_px"] + 0.5) / 3 - 0.5, at_once["y_px"], atol=0.01)
    np.testing.assert_allclose(there["x_err_px"], 3 * at_once["x_err_px"], rtol=0.02)
    np.testing.assert_allclose(there["sigma_px"], 3 * at_once["sigma_px"], rtol=0.02)
    assert there["column_id"].tolist() == list(range(len(there)))
    assert any("enlarged 3 times" in note for note in notes)


def test_a_region_of_an_enlarged_image(recorded):
    fine = Image(cubic(recorded, 2))
    parameters = FIND_COLUMNS.parse({"method": "log", "region_px": (100, 60, 340, 300), "device": "cpu"})
    whole = operations.run(FIND_COLUMNS, (fine,), parameters.model_copy(update={"region_px": None}), Report()).table
    part = operations.run(FIND_COLUMNS, (fine,), parameters, Report()).table
    inside = (whole["x_px"] > 108) & (whole["x_px"] < 332) & (whole["y_px"] > 68) & (whole["y_px"] < 292)
    away = np.hypot(
        whole["x_px"][inside, None] - part["x_px"][None, :], whole["y_px"][inside, None] - part["y_px"][None, :]
    )
    assert inside.sum() > 30
    assert away.min(axis=1).max() < 0.5


def test_the_region_says_what_was_enlarged(recorded):
    """A region that holds a recording beside an enlarged one is judged by itself."""
    fine = cubic(recorded, 2)
    both = np.hstack([fine, np.random.default_rng(1).poisson(20.0, fine.shape)])
    sampling = own(both, (0, 0, 2 * SIZE, 2 * SIZE))
    assert sampling.factor == 2
    assert own(both, (2 * SIZE, 0, 4 * SIZE, 2 * SIZE)) == replace(
        sampling, factor=1.0, region=(2 * SIZE, 0, 4 * SIZE, 2 * SIZE)
    )
