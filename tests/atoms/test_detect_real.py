"""Detection on real micrographs and on simulations of others: numbers of columns known, or seen by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from atomseg_app.atoms.candidates import Candidates
from atomseg_app.atoms.detect import detect
from atomseg_app.benchmarks.detection import rescaled, score
from atomseg_app.io.files import read
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def micrographs(data_folder: Path) -> Path:
    return data_folder / "micrographs"


def grey(path: Path) -> npt.NDArray[np.generic]:
    return read(path).values


def find(image: npt.NDArray[np.generic]) -> Candidates:
    return detect(image, method="log", polarity="auto", false_alarms=0.1, report=Report())


@pytest.mark.parametrize(
    ("name", "fewest", "most", "dark"),
    [
        ("0.png", 640, 720, False),
        ("1.png", 2800, 3050, False),
        ("04_aligned_blind6_none_crop.png", 480, 570, False),
        ("Si110_5nmX25us_03_none_none.png", 370, 420, False),
        ("11133.png", 160, 195, False),
        ("MoS2_stem_Exp-001-5.npy", 480, 600, False),
        ("simulated_nanoparticle.hspy", 256, 256, False),
        ("test_ABF_cropped.hdf5", 330, 375, True),
        ("test_ADF_cropped.hdf5", 215, 250, False),
    ],
)
def test_number_and_polarity_of_columns(micrographs: Path, name: str, fewest: int, most: int, dark: bool) -> None:
    image = grey(micrographs / name)
    found = find(image)
    assert fewest <= len(found) <= most
    assert found.dark == dark
    small = np.asarray(image[:300, :300], float)
    once = find(small)
    for scale in (1.5, 2.0, 3.0):
        assert len(find(rescaled(small, scale))) == pytest.approx(len(once), rel=0.1, abs=6)


def test_no_columns_in_the_vacuum_round_a_particle(micrographs: Path) -> None:
    found = find(grey(micrographs / "0.png"))
    left, right, top, bottom = found.x_px < 180, found.x_px > 950, found.y_px < 180, found.y_px > 950
    corner = ((left | right) & (top | bottom)) | ((found.x_px < 350) & (found.y_px > 900))
    assert not corner.any()


def test_burnt_in_text_is_no_column(micrographs: Path) -> None:
    found = find(grey(micrographs / "1.png"))
    label = (found.x_px > 805) & (found.x_px < 1012) & (found.y_px > 928) & (found.y_px < 1042)
    bright = found.amplitude > 1.2 * np.quantile(found.amplitude, 0.95)
    assert not (label & bright).any()


@pytest.mark.parametrize("dose", ["haadf", "poisson_3000e_per_px", "poisson_600e_per_px", "poisson_150e_per_px"])
def test_strontium_and_titanium_of_a_multislice_image(micrographs: Path, dose: str) -> None:
    """Columns of Sr and Ti away from the border, vacancies and dopants among them; O does not show in HAADF."""
    with np.load(micrographs / "abtem_sto_001_haadf.npz") as file:
        image, truth, sampling = file[dose], file["truth_xyA_Z_n_flag"], float(file["sampling_A"])
    heavy = truth[truth[:, 2] > 8][:, :2] / sampling
    inner = heavy[((heavy > 8) & (heavy < 247)).all(axis=1)]
    found = find(image)
    places = np.column_stack([found.x_px, found.y_px])
    assert score(places, inner, 8)[1] >= 0.97
    assert score(places, heavy, 8)[0] >= 0.97


def test_columns_of_a_platinum_particle_as_statstem_fitted_them(micrographs: Path) -> None:
    with np.load(micrographs / "PtIr.npz") as file:
        image, truth = file["image"], file["fit_xyA_type"][:, :2] / float(file["dx_A"])
    found = find(image)
    precision, recall, _ = score(np.column_stack([found.x_px, found.y_px]), truth, 6)
    assert precision >= 0.97
    assert recall >= 0.8
