"""Training a wedge network: to a known loss from a seed, a card that tells the truth, stopped and gone on with."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atomseg_app.cli import main
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks.card import list_models, read_card, user_folder
from atomseg_app.networks.store import load_model
from atomseg_app.networks.training import train
from atomseg_app.networks.training_log import read_log
from atomseg_app.networks.wedge_model import drawn_from, keep_wedge, new_network, plan_of, train_wedge
from atomseg_app.networks.wedge_settings import LASTING, METHODS, TrainWedge
from atomseg_app.networks.wedge_training import WedgeCourse, wedge_seeds
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.preset import told_version
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_TRAINING

CPU = torch.device("cpu")
SMALL = replace(WEDGE_TRAINING, size_px=32)
TINY = TrainWedge(name="tiny", slice_px=32, batch=2, steps=4, device="cpu")
KNOWN_LOSS = 0.6946


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def after(steps: int) -> Report:
    """Report that is cancelled when a run has told of so many steps."""
    told = itertools.count(1)
    state = {"cancelled": False}

    def on_progress(_fraction: float, _message: str) -> None:
        state["cancelled"] = next(told) >= steps

    return Report(on_progress, cancelled=lambda: state["cancelled"])


def losses(folder: Path) -> list[dict[str, object]]:
    """The log without its times."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in read_log(folder)]


def test_a_seed_leads_to_a_known_loss(tmp_path: Path) -> None:
    plan = plan_of(TINY.model_copy(update={"steps": 30, "batch": 4}))
    train(new_network("residual", 1), WedgeCourse(SMALL, 1, CPU, validation=16), plan, tmp_path, Report())
    found = [entry["validation"] for entry in read_log(tmp_path) if "validation" in entry]
    assert found[-1]["loss"] == pytest.approx(KNOWN_LOSS, abs=0.03)
    assert found[-1]["loss"] < found[0]["loss"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_its_card_tells_what_happened(method: str, tmp_path: Path) -> None:
    model = train_wedge(TINY.model_copy(update={"preset": method}), tmp_path, Report())
    card = read_card(model.card_path)
    assert (card.task, card.training.preset, card.training.steps, card.training.samples) == ("wedge", method, 4, 8)
    assert card.training.seeds == wedge_seeds(1)
    assert card.training.held_out == HELD_OUT
    assert told_version(card.training.simulator_version) == "wedge 1"
    assert "this program simulates version wedge 1" in told_version("wedge 0")
    assert card.figures["PSNR (dB)"] > 5
    assert model.weights_path.stat().st_size < 15_000_000
    module, _ = load_model(model.card_path)
    beam = ParallelBeam([-40.0, 0.0, 40.0], 32)
    with torch.no_grad():
        assert module(torch.rand(1, 3, 32), beam).shape == (1, 32, 32)


def test_noise_reduction_learns_from_views_with_noise() -> None:
    noisy, usual = (drawn_from(TINY.model_copy(update={"preset": method})) for method in ("projections", "residual"))
    assert noisy.size_px == usual.size_px == 32
    assert noisy.counted > usual.counted
    assert noisy.dose[1] < usual.dose[1]
    assert noisy.families == usual.families


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"steps": 6})
    train_wedge(settings, tmp_path / "whole", Report())
    with pytest.raises(Cancelled):
        train_wedge(settings, tmp_path / "split", after(3))
    kept = keep_wedge(tmp_path / "split", Report(), shelf=user_folder())
    assert kept.card.training.steps == 3
    assert [each.card.name for each in list_models("wedge") if each.origin == "yours"] == ["tiny"]
    changes = {"preset": "cleanup", "batch": 3, "slice_px": 48, "learning_rate": 0.5, "adversarial": 0.1, "seed": 9}
    assert {*changes, "start_from"} == set(LASTING)
    for name, value in changes.items():
        with pytest.raises(UserError, match=rf"begun with {name.replace('_', ' ')} .*, not {value}"):
            train_wedge(settings.model_copy(update={name: value}), tmp_path / "split", Report(), resume=True)
    train_wedge(settings, tmp_path / "split", Report(), resume=True)
    assert losses(tmp_path / "split") == losses(tmp_path / "whole")


def test_with_a_critic_the_network_alone_is_saved_and_kept(tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"adversarial": 0.02})
    model = train_wedge(settings, tmp_path / "whole", Report())
    module, _ = load_model(model.card_path)
    assert not any(name.startswith("critic") for name in module.state_dict())
    with pytest.raises(Cancelled):
        train_wedge(settings, tmp_path / "split", after(2))
    kept, _ = load_model(keep_wedge(tmp_path / "split", Report()).card_path)
    assert kept.state_dict().keys() == module.state_dict().keys()
    for suffix in ("json", "safetensors"):
        (tmp_path / "split" / f"tiny.{suffix}").unlink()
    train_wedge(settings, tmp_path / "split", Report(), resume=True)
    assert losses(tmp_path / "split") == losses(tmp_path / "whole"), "the critic is in the checkpoint, too"


def test_training_starts_from_a_model_of_its_kind(tmp_path: Path) -> None:
    first = train_wedge(TINY, tmp_path / "first", Report())
    still = TINY.model_copy(update={"start_from": str(first.card_path), "steps": 1, "learning_rate": 1e-12})
    again = train_wedge(still, tmp_path / "again", Report())
    assert again.card.training.adapted_from == f"{first.card.name} ({first.card.sha256})"
    assert again.card.training.samples_in_all == first.card.training.samples + again.card.training.samples
    assert again.card.training.hours_before == first.card.training.hours
    assert again.card.training.loss_curve[: len(first.card.training.loss_curve)] == first.card.training.loss_curve
    weights = [load_model(each.card_path)[0].state_dict()["correct.0.unet.head.weight"] for each in (first, again)]
    torch.testing.assert_close(weights[0], weights[1], atol=1e-3, rtol=1e-2)
    with pytest.raises(UserError, match="not of the cleanup wedge network"):
        train_wedge(still.model_copy(update={"preset": "cleanup"}), tmp_path / "other", Report())


def test_the_command_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train", "wedge", "--preset", "residual", "--slice-px", "32", "--batch", "2", "--device", "cpu"]
    assert main([*options, "--steps", "3", "-o", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(tmp_path / "run" / "my-wedge.json")
    assert json.loads((tmp_path / "run" / "my-wedge.json").read_text())["training"]["steps"] == 3
    assert main([*options, "--steps", "3", "-o", str(tmp_path / "run")]) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert main([*options, "--slice-px", "33", "-o", str(tmp_path / "other")]) == 2
    assert "multiple of 16" in capsys.readouterr().err
