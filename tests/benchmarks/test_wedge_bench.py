"""What the wedge's figures are made of: recipes against closed forms, weights chosen by the truth, atoms, verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from atomseg_app.benchmarks import wedge, wedge_atoms, wedge_papers, wedge_table
from atomseg_app.benchmarks.options import COUNT_VARIABLE, PARTS_VARIABLE, number, parts
from atomseg_app.benchmarks.wedge_classical import classical, sart, tv, tv_oracle
from atomseg_app.benchmarks.wedge_networks import COMPARED, OURS
from atomseg_app.benchmarks.wedge_scenes import CONDITIONS, EXACT, FAMILIES, protocol_tilts, scene, wedge_tilts
from atomseg_app.errors import UserError
from atomseg_app.networks.card import find_model
from atomseg_app.networks.image_losses import decibels, similarity
from atomseg_app.rays.reconstruct import sirt
from atomseg_app.simulate.wedge_preset import HELD_OUT


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_what_is_measured_was_never_trained_on_and_is_the_same_in_every_condition() -> None:
    assert FAMILIES == HELD_OUT
    tilts = wedge_tilts(60)
    exact, noisy, moved = (scene("film", CONDITIONS[index], tilts, 3, 32) for index in (0, 1, 2))
    assert torch.equal(exact.truth, noisy.truth)
    assert torch.equal(exact.views, exact.clean)
    assert torch.equal(exact.clean, noisy.clean)
    assert not torch.equal(exact.clean, moved.clean)
    torch.testing.assert_close(exact.truth.amax((1, 2)), torch.ones(3))
    lit = exact.clean > 0.1 * exact.clean.amax((1, 2), keepdim=True)
    relative = ((noisy.views - noisy.clean)[lit] ** 2).mean() / exact.clean[lit].mean() ** 2
    assert float(relative) == pytest.approx(1e-3, rel=0.35), "a thousand counts in the mean"
    assert not torch.equal(scene("film", EXACT, tilts, 3, 32, first=1).truth, exact.truth)


def test_angles_are_those_that_a_wedge_leaves() -> None:
    for missing in (30, 45, 60, 80):
        tilts = wedge_tilts(missing)
        assert float(tilts[-1] - tilts[0]) <= 180 - missing
        assert float(tilts[-1] - tilts[0]) > 180 - missing - 2
        torch.testing.assert_close(tilts.diff(), torch.full((len(tilts) - 1,), 2.0, dtype=torch.float64))
    assert len(protocol_tilts()) == 96
    assert float(protocol_tilts().diff()[0]) == 180 / 128


def test_recipes_are_as_good_as_they_should_be() -> None:
    seen = scene("twins", EXACT, wedge_tilts(45), 4, 48)
    found = {name: decibels(fill(seen.views, seen.beam), seen.truth) for name, fill in classical().items()}
    assert {"WBP", "SART", "TV, automatic"} <= set(found)
    assert (found["SART"] > found["WBP"]).all()
    assert float((found["TV, automatic"] - found["SART"]).mean()) > 1
    swept, many = sart(seen.views, seen.beam), sirt(seen.beam, seen.views, 100)
    assert float((swept - many).norm() / many.norm()) < 0.15, "ten sweeps do what a hundred of SIRT's iterations do"


def test_the_oracle_is_never_worse_than_the_automatic_weight() -> None:
    seen = scene("amorphous", CONDITIONS[3], wedge_tilts(60), 4, 32)
    psnr, ssim = tv_oracle(seen.views, seen.beam, seen.truth)
    found = tv(seen.views, seen.beam)
    assert (psnr >= decibels(found, seen.truth) - 1e-3).all()
    assert (ssim >= similarity(found, seen.truth) - 1e-5).all()
    assert float((psnr - decibels(found, seen.truth)).max()) > 0.05


def test_atoms_are_traced_where_they_are() -> None:
    true = wedge_atoms.particle()
    tilts = wedge_tilts(0.0)[1:]
    views = true.views(tilts)
    assert views.shape == (64, 90, 64)
    total = len(true.zyx) * 2 * np.pi * wedge_atoms._SIGMA_PX**2
    torch.testing.assert_close(views.sum((0, 2)), torch.full((90,), float(total)), rtol=1e-4, atol=0)
    grid = np.indices((64, 64, 64)).reshape(3, -1).T
    some = replace(true, zyx=true.zyx[::12], strength=true.strength[::12])
    volume = sum(np.exp(-((grid - place) ** 2).sum(1) / (2 * wedge_atoms._SIGMA_PX**2)) for place in some.zyx)
    found = wedge_atoms.traced(np.asarray(volume).reshape(64, 64, 64))
    count, false, rms_pm = wedge_atoms.compared(found, some)
    assert (count, false) == (len(some.zyx), 0)
    assert rms_pm < 4
    twice = np.concatenate([found, found[:2] + 0.1, [[0.0, 0.0, 0.0]]])
    assert wedge_atoms.compared(twice, some)[:2] == (len(some.zyx), 3)
    assert wedge_atoms.compared(found[:5], some)[:2] == (5, 0)


def test_the_verdict_is_by_the_best_opponent(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {OURS: (30.0, 0.95), "TV, oracle": (27.9, 0.94), "SART": (28.1, 0.90), "residual (Ge)": (40.0, 0.99)}
    assert wedge_table.opponents(scores) == ["TV, oracle", "SART"]
    assert wedge_table._verdict(EXACT, {45: scores}), "1.9 dB are too few where 2 are wanted"
    assert "+1.90" in capsys.readouterr().out
    assert not wedge_table._verdict(EXACT, {30: scores})
    assert not wedge_table._verdict(EXACT, {45: {**scores, "SART": (27.0, 0.9)}})
    assert wedge_table._verdict(EXACT, {30: {**scores, "WBP": (20.0, 0.96)}})
    assert not wedge_table._verdict(EXACT, {30: {name: scores[name] for name in ("SART", "TV, oracle")}})


def test_networks_whose_loss_was_falling_are_marked() -> None:
    assert wedge_papers.marked("WBP") == "WBP"
    assert wedge_papers.marked(OURS) == OURS + " (*)" * (not find_model("wedge-residual").card.training.converged)
    scores = wedge_papers.measured(wedge_papers.Task("twins", 45.0, EXACT, 2, 64))
    assert scores[OURS][0] > scores["WBP"][0]
    assert scores[OURS][1] > scores["WBP"][1]


def test_options_are_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COUNT_VARIABLE, raising=False)
    assert number(COUNT_VARIABLE, 8) == 8
    monkeypatch.setenv(COUNT_VARIABLE, "3")
    assert number(COUNT_VARIABLE, 8) == 3
    for wrong in ("0", "-1", "2.5", "many"):
        monkeypatch.setenv(COUNT_VARIABLE, wrong)
        with pytest.raises(UserError, match="whole number of 1 or more"):
            number(COUNT_VARIABLE, 8)


def test_parts_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv(PARTS_VARIABLE, raising=False)
    assert parts(["table", "atoms", "time"]) == ["table", "atoms", "time"]
    monkeypatch.setenv(PARTS_VARIABLE, "time, table")
    assert parts(["table", "atoms", "time"]) == ["time", "table"]
    monkeypatch.setenv(PARTS_VARIABLE, "table,ghost")
    with pytest.raises(
        UserError, match="names 'ghost'; parts are table, papers, protocol, projections, elongation, ghosts"
    ):
        wedge.run()
    assert capsys.readouterr().out == ""


def test_the_methods_of_the_papers_are_compared_at_equal_hours_of_training() -> None:
    hours = {
        name: sum(find_model(model).card.training.hours_in_all for model in models)
        for name, models in COMPARED.items()
        if name in {"ours, as long as theirs", "residual (Ge)", "joint (Ding)"}
    }
    assert max(hours.values()) < 1.05 * min(hours.values())
