"""Adapting a network to one image: what is measured, the look-alikes, the verdict, and what is left on disk."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from scipy.spatial import cKDTree

from atomseg_app.atoms.adapt import adapt, keep
from atomseg_app.atoms.adapt_course import LEAST_GAIN, AdaptCourse, f1_of
from atomseg_app.atoms.adapt_settings import AdaptColumns
from atomseg_app.atoms.appearance import Appearance, appearance_of
from atomseg_app.atoms.look_alikes import OwnColumns, look_alike_preset
from atomseg_app.cli import main
from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io.tables import write_csv
from atomseg_app.networks.card import Input, Model, ModelCard, Output, Training
from atomseg_app.networks.column_model import new_network
from atomseg_app.networks.column_settings import NETWORKS
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.networks.store import load_model, save_model
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice
from atomseg_app.simulate.optics import FWHM
from atomseg_app.simulate.simulator import Simulator

CPU = torch.device("cpu")
GAIN, OFFSET = 37.0, 1000.0


def _scene(
    *, peak: float = 25.0, background: float = 0.6, jitter_px: float = 0.0, sigma_px: float = 3.0, dark: bool = False
) -> tuple[Image, Columns]:
    """Image in arbitrary grey levels of columns 16 px apart, and a table of the truth."""
    rng = np.random.default_rng(7)
    truth = square_lattice(
        384, 16.0, rng, sigma_px=sigma_px, peak=peak, background=background, amplitudes=(0.7, 1.3), rotation_deg=9.0
    )
    sign = -1.0 if dark else 1.0
    if dark:
        truth = TrueColumns(truth.x_px, truth.y_px, -truth.amplitude, truth.sigma_px, truth.background + 1.5 * peak)
    expected = render(truth, (384, 384))
    if jitter_px:
        k = 2j * np.pi * np.fft.rfftfreq(384)[None, :]
        moves = rng.normal(0, jitter_px, (384, 1))
        expected = np.fft.irfft(np.fft.rfft(expected, axis=1) * np.exp(-k * moves), n=384, axis=1)
    values = (poisson(expected, rng) * GAIN + OFFSET).astype(np.float32)
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"] = truth.x_px, truth.y_px
    table["amplitude"], table["background"] = truth.amplitude * GAIN, truth.background * GAIN + OFFSET
    table["sigma_px"], table["ellipticity"], table["angle_deg"] = truth.sigma_px, 1.0, 0.0
    assert np.all(np.sign(truth.amplitude) == sign)
    return Image(values, source=Source("scene.tif")), Columns(table, (384, 384))


@pytest.fixture(scope="module")
def scene() -> tuple[Image, Columns]:
    """A bright scene with its truth."""
    return _scene()


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small column network that has learnt nothing yet."""
    card = ModelCard(
        name="beginner", title="Beginner", task="columns",
        architecture=NETWORKS["small"],
        input=Input(normalisation="mean-and-sd"), outputs=tuple(Output(name=name, meaning="") for name in CHANNELS),
        training=Training(
            preset="none", simulator_version="1", seeds=(1,), steps=0, samples=0, device="cpu", hours=0.0,
            converged=False, convergence_note="Untrained.",
        ),
        figures={}, known_limits=("Untrained.",), licence="GPL-3.0-or-later", created=date(2026, 11, 21),
    )  # fmt: skip
    return save_model(tmp_path_factory.mktemp("beginner"), new_network("small", 1), card)


def _settings(model: Model, **changes: object) -> AdaptColumns:
    values = {"model": str(model.card_path), "name": "mine", "minutes": 0.06, "picture_px": 64, "device": "cpu"}
    return AdaptColumns.model_validate({**values, **changes})


@pytest.mark.parametrize("peak", [6.0, 25.0, 100.0])
@pytest.mark.parametrize("background", [0.15, 1.5])
def test_counts_and_background_follow_from_grey_levels_of_unknown_gain_and_offset(
    peak: float, background: float
) -> None:
    look = appearance_of(*_scene(peak=peak, background=background))
    # Typical is the mean of amplitudes weighted with themselves: 1 + 0.03 for 0.7 to 1.3.
    assert look.dose == pytest.approx(1.03 * peak, rel=0.2)
    assert look.background == pytest.approx(background, rel=0.25, abs=0.05)
    assert look.sigma_px == pytest.approx(3.0, rel=0.02)
    assert look.spacing_px == pytest.approx(16.0, rel=0.02)
    assert abs(look.correlation) < 0.05
    assert not look.dark


@pytest.mark.parametrize("jitter_px", [0.0, 0.5, 1.0])
def test_line_displacements_are_measured(jitter_px: float) -> None:
    look = appearance_of(*_scene(jitter_px=jitter_px))
    assert look.jitter_px == pytest.approx(jitter_px, rel=0.2, abs=0.12)


def test_dark_columns_are_told_and_simulated_dark() -> None:
    look = appearance_of(*_scene(dark=True))
    assert look.dark
    assert look.amplitude.min() > 0
    assert look_alike_preset(look, 128).dark == 1.0


def test_pixels_without_value_do_not_count(scene: tuple[Image, Columns]) -> None:
    image, columns = scene
    values = image.values.copy()
    values[40:80, 100:180] = np.nan
    holed, whole = appearance_of(Image(values), columns), appearance_of(image, columns)
    assert holed.dose == pytest.approx(whole.dose, rel=0.1)


def test_too_few_columns_are_refused(scene: tuple[Image, Columns]) -> None:
    image, columns = scene
    with pytest.raises(UserError, match="5 columns are too few"):
        appearance_of(image, Columns(columns.table[:5], columns.image_shape))


@pytest.mark.parametrize("sigma_px", [1.0, 2.2, 6.0])
def test_look_alikes_are_as_wide_and_noisy_as_the_resampled_image(
    sigma_px: float, scene: tuple[Image, Columns]
) -> None:
    known = vars(appearance_of(*scene)) | {"sigma_px": sigma_px, "spacing_px": 5 * sigma_px}
    preset = look_alike_preset(Appearance(**known), 64)
    assert preset.sigma_px is not None
    assert preset.sigma_px[0] < (2.2 if sigma_px == 2.2 else 2.0) < preset.sigma_px[1]
    # Counts of a whole column are those of the file, whatever the size of pixels: dose times width squared, in
    # pixels that are as coarse as those of the file.
    coarse = 1 + int(np.argmax(preset.coarse))
    dose, width = (np.sqrt(low * high) for low, high in (preset.dose, preset.sigma_px))
    assert dose * (width / coarse) ** 2 == pytest.approx(known["dose"] * sigma_px**2, rel=0.05)


def test_own_columns_keep_their_distances_in_every_turn(scene: tuple[Image, Columns]) -> None:
    look = appearance_of(*scene)
    preset = look_alike_preset(look, 128)
    own = OwnColumns.of(look, CPU)
    pictures = Simulator(preset, 5, CPU, arrange=own).batch(6)
    for index in range(6):
        chosen = pictures.truth.image == index
        places = torch.stack([pictures.truth.x_px[chosen], pictures.truth.y_px[chosen]], 1).double().numpy()
        scale = float(pictures.sigma_px[index]) / look.sigma_px
        near = cKDTree(places).query(places, k=2)[0][:, 1]
        assert np.median(near) == pytest.approx(16 * scale, rel=0.15)
        density = chosen.sum() / 128**2 * (16 * scale) ** 2
        assert 0.7 < float(density) < 1.15  # some are lost, and the border of the image is empty
    again = Simulator(preset, 5, CPU, arrange=OwnColumns.of(look, CPU)).batch(6)
    assert torch.equal(pictures.image, again.image)
    width, _ = own(Simulator(preset, 5, CPU, arrange=own)._draw, preset, torch.ones(1), torch.full((1,), 2 * FWHM), 96)[
        :2
    ]
    assert float(width.x_px.min()) < 0
    assert float(width.x_px.max()) > 95


def test_f1_of_the_shipped_network_and_of_one_that_sees_nothing(scene: tuple[Image, Columns], untrained: Model) -> None:
    pictures = [Simulator(look_alike_preset(appearance_of(*scene), 96), 9, CPU).batch(4)]
    assert f1_of(load_model("columns")[0], pictures, Report()) > 0.8
    assert f1_of(load_model(untrained)[0], pictures, Report()) < 0.1


def test_validation_is_repeatable_and_punishes_what_other_pictures_lose(
    scene: tuple[Image, Columns], untrained: Model
) -> None:
    course = AdaptCourse(appearance_of(*scene), 3, 64, CPU, Report())
    shipped, beginner = load_model("columns")[0], load_model(untrained)[0]
    first = course.judge(shipped)
    assert course.judge(shipped) == first
    assert course.validate(shipped)["loss"] == first.look_alike_loss
    spoilt = course.validate(beginner)
    assert spoilt["loss"] > spoilt["look_alikes"] + 10 * (spoilt["default"] - first.default_loss - 0.01)


def test_a_network_that_gets_better_is_saved_with_its_card_and_figures(
    scene: tuple[Image, Columns], untrained: Model, tmp_path: Path
) -> None:
    image, columns = scene
    adapted = adapt(image, columns, _settings(untrained, learning_rate=1e-2, minutes=0.25), tmp_path / "run", Report())
    assert adapted.model is not None, adapted.verdict
    assert adapted.verdict.startswith("Adapted")
    assert adapted.validation_after.look_alike_loss < adapted.validation_before.look_alike_loss - LEAST_GAIN
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["mine.json", "mine.safetensors"]
    module, card = load_model(adapted.model)
    assert card.training.adapted_from == f"beginner ({untrained.card.sha256})"
    assert card.training.steps > 0
    assert "scene" in card.training.preset
    assert card.figures["look alike loss, after"] == pytest.approx(adapted.validation_after.look_alike_loss, abs=1e-4)
    assert card.figures["columns in the image, after"] == len(adapted.after)
    course = AdaptCourse(adapted.appearance, 1, 64, CPU, Report())
    # Files hold half precision.
    assert course.judge(module).to_json() == pytest.approx(adapted.validation_after.to_json(), abs=0.01)
    kept = keep(adapted, tmp_path / "shelf")
    assert kept.card.sha256 == adapted.model.card.sha256
    with pytest.raises(UserError, match="mine"):
        adapt(image, columns, _settings(untrained), tmp_path / "run", Report())


def test_a_network_that_gets_no_better_is_not_saved(
    scene: tuple[Image, Columns], untrained: Model, tmp_path: Path
) -> None:
    image, columns = scene
    adapted = adapt(image, columns, _settings(untrained, learning_rate=1e-12, minutes=0.01), tmp_path, Report())
    assert adapted.model is None
    assert adapted.verdict.startswith("Not adapted: look-alikes")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="no adapted network to keep"):
        keep(adapted, tmp_path)


def test_cancelling_leaves_nothing(scene: tuple[Image, Columns], untrained: Model, tmp_path: Path) -> None:
    fractions: list[float] = []
    report = Report(
        lambda fraction, _: fractions.append(fraction), cancelled=lambda: bool(fractions) and fractions[-1] > 0.13
    )
    with pytest.raises(Cancelled):
        adapt(*scene, _settings(untrained, minutes=5), tmp_path, report)
    assert list(tmp_path.iterdir()) == []
    assert fractions[-1] < 0.5


@pytest.mark.parametrize("name", ["columns", "taken"])
def test_names_that_are_taken_are_refused_before_the_work(
    name: str, scene: tuple[Image, Columns], untrained: Model, tmp_path: Path
) -> None:
    (tmp_path / "taken.json").write_text("{}")
    with pytest.raises(UserError, match=f"There is already a model '{name}'"):
        adapt(*scene, _settings(untrained, name=name), tmp_path, Report())


def test_the_command_prints_before_and_after(
    scene: tuple[Image, Columns], untrained: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, columns = scene
    tifffile.imwrite(tmp_path / "scene.tif", image.values)
    write_csv(columns, tmp_path / "scene_columns.csv")
    common = ["adapt", str(tmp_path / "scene.tif"), "--columns", str(tmp_path / "scene_columns.csv"), "--device", "cpu",
              "--model", str(untrained.card_path), "-o", str(tmp_path / "out")]  # fmt: skip
    code = main([*common, "--name", "mine", "--minutes", "0.05"])
    out = capsys.readouterr().out
    assert "columns in the image" in out
    assert "before" in out
    saved = (tmp_path / "out" / "mine.json").exists()
    assert saved == (code == 0) == (str(tmp_path / "out" / "mine.json") in out)
    assert main([*common, "--name", "Not a name"]) == 2
