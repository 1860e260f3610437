"""The figures of the column network: what a finder without fault and one without finds score, and the tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from atomseg_app.benchmarks import baseline_network, denoising, hard_scale, hard_set, scale_estimates
from atomseg_app.benchmarks.hard_set import LEAST_SNR, Found, Outcome, Picture
from atomseg_app.benchmarks.matching import Score
from atomseg_app.errors import UserError
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.card import Architecture, Input, ModelCard, Output, Training, user_folder
from atomseg_app.networks.store import save_model


@pytest.fixture(scope="module")
def few() -> list[Picture]:
    return hard_set.pictures(8)


def perfect(picture: Picture) -> Found:
    return Found(picture.xy_px, picture.sigma_px)


def strong_only(picture: Picture) -> Found:
    return Found(picture.xy_px[picture.snr >= LEAST_SNR], picture.sigma_px)


def empty(picture: Picture) -> Found:
    return Found(picture.xy_px[:0])


def shifted(picture: Picture) -> Found:
    return Found(picture.xy_px + np.array([0.1, 0.0]), picture.sigma_px)


def total(outcomes: list[Outcome]) -> Score:
    return Score.total(outcome.score for outcome in outcomes)


def test_the_set_is_the_same_however_many_pictures_are_used(few: list[Picture]) -> None:
    for one, other in zip(hard_set.pictures(3), few, strict=False):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.xy_px, other.xy_px)
    assert [picture.number for picture in few] == list(range(8))
    assert {picture.values.shape for picture in few} == {(256, 256)}


def test_a_perfect_finder_scores_one_and_an_empty_one_nothing(few: list[Picture]) -> None:
    finders = {"perfect": perfect, "strong": strong_only, "empty": empty, "shifted": shifted}
    found = hard_set.evaluate(finders, few)
    strong = sum(int((picture.snr >= LEAST_SNR).sum()) for picture in few)
    assert total(found["perfect"]) == total(found["strong"]) == Score(strong, 0, 0, 0.0)
    assert total(found["empty"]).f1 == 0
    assert total(found["empty"]).fn == strong
    assert total(found["shifted"]).rms_px == pytest.approx(0.1 / np.sqrt(2), rel=1e-6)


def test_places_beside_columns_are_false(few: list[Picture]) -> None:
    outcome = hard_set.scored(few[0], np.array([[-1000.0, 0.0], [5000.0, 5000.0]]))
    assert (outcome.tp, outcome.fp) == (0, 2)


def test_the_table_tells_how_many_pictures_and_what_is_not_trained(
    few: list[Picture], capsys: pytest.CaptureFixture[str]
) -> None:
    found = hard_set.evaluate({"network + fit": perfect, "LoG alone": empty}, few)
    assert not hard_set.tell(found, ["AtomSegNet's U-Net"])
    text = capsys.readouterr().out
    assert "8 of 512 pictures" in text
    assert any("AtomSegNet's U-Net" in line and "not trained yet" in line for line in text.splitlines())
    assert hard_set.tell({"network + fit": found["LoG alone"], "LoG alone": found["network + fit"]})
    assert hard_set.tell({"network + fit": found["network + fit"][:1], "LoG alone": found["LoG alone"][:1]}) is False


def test_a_smaller_number_of_pictures_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hard_set.COUNT_VARIABLE, raising=False)
    assert hard_set.pictures_wanted() == 512
    monkeypatch.setenv(hard_set.COUNT_VARIABLE, "48")
    assert (hard_set.pictures_wanted(), hard_set.pictures_wanted(32)) == (48, 32)
    for text in ("0", "-3", "many"):
        monkeypatch.setenv(hard_set.COUNT_VARIABLE, text)
        with pytest.raises(UserError, match="number of pictures"):
            hard_set.pictures_wanted()


def test_real_finders_find_the_columns_of_a_clear_picture(few: list[Picture]) -> None:
    clear = few[0]  # 83 counts, wide apart
    names = ("network alone", "LoG alone")
    found = hard_set.outcomes({name: hard_set.FINDERS[name] for name in names}, clear)
    for name in names:
        assert found[name].score.recall > 0.5
        assert found[name].cpu_s > 0
        assert 0.4 < found[name].sigma_px / clear.sigma_px < 2.5


def test_scale_of_a_perfect_finder_changes_nothing(few: list[Picture]) -> None:
    few = few[:4]
    summed = hard_scale.total([hard_scale.compare(picture, perfect) for picture in few])
    for scale, result in summed.items():
        assert result.there.f1 == result.at_once.f1 == 1
        assert result.pairs == result.there.tp > 0
        assert result.square_px2 == pytest.approx(0, abs=1e-12 * result.pairs)
        apart = [hard_set.nearest_spacing(p.xy_px) * min(1, scale) >= hard_scale.APART_PX for p in few]
        assert result.pairs == sum(int((a & (p.snr >= LEAST_SNR)).sum()) for a, p in zip(apart, few, strict=True))


def test_scale_tells_a_finder_that_slips(few: list[Picture]) -> None:
    summed = hard_scale.total([hard_scale.compare(few[0], shifted)])
    for scale, result in summed.items():  # 0.1 px of every frame is 0.1 / scale of the first
        moved = abs(0.1 / scale - 0.1)
        assert np.sqrt(result.square_px2 / result.pairs) == pytest.approx(moved, rel=1e-6)


def test_pictures_of_a_wrong_width_are_listed(few: list[Picture], capsys: pytest.CaptureFixture[str]) -> None:
    right = hard_set.outcomes({"it": strong_only}, few[0])["it"]
    wrong = replace(right, sigma_px=2 * few[1].sigma_px)
    scale_estimates.run(few[:2], [right, wrong])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("| 1 ") and few[1].name in line for line in lines)
    assert not any(line.startswith("| 0 ") for line in lines)
    assert any("1 of 2" in line for line in lines)


def test_psnr_after_gain_and_offset() -> None:
    rng = np.random.default_rng(1)
    clean = rng.random((64, 64))
    error = rng.normal(0, 0.01, clean.shape)
    assert denoising.psnr(3 * clean - 7, clean) > 200
    expected = -20 * np.log10(0.01 / np.ptp(clean))
    assert denoising.psnr(5 * (clean + error) + 2, clean) == pytest.approx(expected, abs=0.2)
    assert denoising.psnr(np.ones_like(clean), clean) == pytest.approx(20 * np.log10(np.ptp(clean) / clean.std()))


@pytest.mark.parametrize("name", denoising.available())
def test_classical_methods_take_noise_out_and_leave_flat_pictures(name: str) -> None:
    method, parameters = denoising.CLASSICAL[name]
    y, x = np.mgrid[:96, :96]
    clean = 20 + 15 * np.cos(2 * np.pi * x / 16) * np.cos(2 * np.pi * y / 16)
    noisy = np.random.default_rng(2).poisson(clean).astype(np.float32)
    noise = float(np.sqrt(noisy.mean()))
    best = max(denoising.psnr(method(noisy, noise, value), clean) for value in parameters)
    assert best > denoising.psnr(noisy, clean) + 4
    flat = np.full((48, 48), 7, np.float32)
    np.testing.assert_allclose(method(flat, 1.0, parameters[2]), flat, atol=1e-4)


def test_noise_left_in_each_scale_of_the_wavelets() -> None:
    noise = np.random.default_rng(3).normal(size=(512, 512)).astype(np.float32)
    kept = denoising.wavelet(noise, 1.0, 0.0)
    np.testing.assert_allclose(kept, noise, atol=1e-5)  # scales add up to the picture
    assert denoising.wavelet(noise, 1.0, 5.0).std() < 0.03  # all that is left is the smooth rest


def test_the_network_denoises_an_unseen_picture() -> None:
    (picture,) = denoising.unseen(20, 1)
    assert picture.dose == pytest.approx(20)
    result = denoising.denoised_psnr(picture, ["Gaussian"])
    assert result["network"] > result["as recorded"] + 1.5
    assert result["Gaussian"] > result["as recorded"]
    assert set(denoising.sharpened_psnr(picture)) == {"as recorded", "network"}


def test_the_bundled_baseline_finds_columns_and_one_of_the_users_stands_beside_it(
    few: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled, absent = baseline_network.baselines()
    assert len(bundled) == 4
    assert not absent
    best = max(hard_set.evaluate(bundled, few).values(), key=lambda found: total(found).f1)
    assert total(best).f1 > 0.75
    training = Training(
        preset="smoke", simulator_version="1", seeds=(1,), steps=1, samples=1, device="cpu", hours=0.0,
        converged=False, convergence_note="Random weights, for a test.",
    )  # fmt: skip
    card = ModelCard(
        name="published", title="Published", task="masks",
        architecture=Architecture(name="atomsegnet-unet", options={"widths": [4, 6, 8]}),
        input=Input(normalisation="zero-to-one", column_sigma_px=(1.5, 3.0)),
        outputs=(Output(name="mask", meaning="Circular mask of every column."),),
        training=training, figures={}, known_limits=(), licence="GPL-3.0-or-later", created=date(2026, 11, 21),
    )  # fmt: skip
    torch.manual_seed(1)
    user_folder().mkdir(parents=True, exist_ok=True)
    save_model(user_folder(), SigmoidUNet((4, 6, 8)), card)
    finders, absent = baseline_network.baselines()
    assert not absent
    assert sum("(published)" in name for name in finders) == 4
    for name, finder in finders.items():
        places = finder(few[0]).xy_px
        assert places.shape[1] == 2, name
        assert np.all((places >= -1) & (places <= 256))
    monkeypatch.setattr(baseline_network, "list_models", list)
    finders, absent = baseline_network.baselines()
    assert not finders
    assert len(absent) == 4
