"""From settings to a model: the card tells the truth, a run that stopped can be kept or continued, on the command
line, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from atomseg_app.cli import main
from atomseg_app.commands.simulate import Device, PresetName
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks import run_folder
from atomseg_app.networks.card import list_models, read_card, user_folder
from atomseg_app.networks.column_model import keep_columns, new_network, plan_of, train_columns
from atomseg_app.networks.column_settings import LASTING, NETWORKS, TrainColumns
from atomseg_app.networks.column_training import column_seeds
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.networks.courses import KINDS, kind
from atomseg_app.networks.store import load_model
from atomseg_app.networks.training_log import read_log, validations
from atomseg_app.operations import Report
from atomseg_app.simulate.crystals import structures
from atomseg_app.simulate.preset import PRESETS, VERSION
from tests.networks.test_training import after

CHECKOUT = Path(__file__).parents[2]
TINY = TrainColumns(name="tiny", network="small", picture_px=64, batch=1, steps=20, device="cpu")
OPTIONS = ["--network", "small", "--picture-px", "64", "--batch", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def test_training_starts_from_a_models_weights_and_the_card_says_so(tmp_path: Path) -> None:
    first = train_columns(TINY, tmp_path / "first", Report())
    still = TINY.model_copy(update={"start_from": str(first.card_path), "steps": 1, "learning_rate": 1e-12})
    again = train_columns(still, tmp_path / "again", Report())
    before, after_one = (load_model(model.card_path)[0].state_dict() for model in (first, again))
    for name, weights in before.items():
        if name.endswith(("num_batches_tracked", "running_mean", "running_var")):  # of the pictures seen
            continue
        torch.testing.assert_close(after_one[name], weights, atol=2e-3, rtol=2e-3)
    assert again.card.training.adapted_from == f"{first.card.name} ({first.card.sha256})"
    assert again.card.training.samples_in_all == first.card.training.samples + again.card.training.samples
    assert again.card.training.hours_before == first.card.training.hours
    assert again.card.training.loss_curve[: len(first.card.training.loss_curve)] == first.card.training.loss_curve
    other = still.model_copy(update={"network": "standard"})
    with pytest.raises(UserError, match="not of the standard column network"):
        train_columns(other, tmp_path / "other", Report())


def test_the_card_tells_what_happened(tmp_path: Path) -> None:
    model = train_columns(TINY, tmp_path, Report())
    card = read_card(model.card_path)
    training = card.training
    assert (training.steps, training.samples, training.device) == (20, 20, "cpu")
    assert training.seeds == column_seeds(1)
    assert set(training.held_out) == {one.name for one in structures() if one.held_out}
    assert training.simulator_version == str(VERSION)
    assert training.hours > 0
    assert not training.converged
    assert card.input.column_sigma_px == PRESETS["default"].sigma_px
    assert [output.name for output in card.outputs] == list(CHANNELS)
    best = min(figures["loss"] for _, figures in validations(read_log(tmp_path)))
    assert card.figures["validation loss"] == pytest.approx(best, abs=1e-5)
    module, loaded = load_model(model.card_path)
    assert loaded == card
    assert module(torch.zeros(1, 1, 32, 32)).shape == (1, len(CHANNELS), 32, 32)
    with pytest.raises(UserError, match="holds a run already; resume it"):
        train_columns(TINY, tmp_path, Report())
    longer = train_columns(TINY.model_copy(update={"steps": 24}), tmp_path, Report(), resume=True)
    assert longer.card.training.steps == 24


def test_what_was_stopped_is_kept(tmp_path: Path) -> None:
    long = TINY.model_copy(update={"steps": 1000})
    with pytest.raises(Cancelled):
        train_columns(long, tmp_path / "run", after(3))
    model = keep_columns(tmp_path / "run", Report(), shelf=user_folder())
    assert model.card.training.steps == 3
    assert "too few" in model.card.training.convergence_note
    assert [each.card.name for each in list_models() if each.origin == "yours"] == ["tiny"]
    load_model("tiny")
    with pytest.raises(UserError, match="already a model 'tiny'"):
        keep_columns(tmp_path / "run", Report(), shelf=user_folder())
    with pytest.raises(UserError, match="already a model 'tiny'"):
        train_columns(long, tmp_path / "other", Report(), shelf=user_folder())


def test_a_run_is_continued_only_as_it_was_begun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint to go on from"):
        train_columns(TINY, tmp_path, Report(), resume=True)
    with pytest.raises(Cancelled):
        train_columns(TINY, tmp_path, after(2))
    assert run_folder.can_go_on(tmp_path)
    changes = {"network": "standard", "batch": 2, "picture_px": 80, "learning_rate": 0.5, "seed": 9}
    assert {*changes, "preset", "start_from"} == set(LASTING)
    for name, value in changes.items():
        with pytest.raises(UserError, match=rf"begun with {name.replace('_', ' ')} .*, not {value}"):
            train_columns(TINY.model_copy(update={name: value}), tmp_path, Report(), resume=True)
    with pytest.raises(UserError, match="has done 2 steps already"):
        train_columns(TINY.model_copy(update={"steps": 1}), tmp_path, Report(), resume=True)
    (tmp_path / run_folder.RUN).write_text('{"settings": {"preset": "unheard of"}}')
    with pytest.raises(UserError, match="cannot be continued by this version: preset"):
        keep_columns(tmp_path, Report())
    (tmp_path / run_folder.RUN).write_text("[]")
    with pytest.raises(UserError, match="holds no run that can be continued"):
        keep_columns(tmp_path, Report())


def test_nothing_to_keep_is_told(tmp_path: Path) -> None:
    run_folder.begin(tmp_path, TINY, {})
    with pytest.raises(UserError, match="holds no weights yet"):
        keep_columns(tmp_path, Report())


def test_networks_and_plans() -> None:
    for name in NETWORKS:
        first, again = new_network(name, 3).state_dict(), new_network(name, 3).state_dict()
        assert all(torch.equal(first[key], again[key]) for key in first)
    before = torch.random.get_rng_state()
    new_network("small", 4)
    assert torch.equal(before, torch.random.get_rng_state())
    shipped = plan_of(TrainColumns())
    assert (shipped.steps, shipped.warmup, shipped.validate_every, shipped.log_every) == (100_000, 200, 500, 25)
    by_clock = plan_of(TrainColumns(minutes=10))
    assert by_clock.minutes == 10
    assert by_clock.validate_every == 50
    with pytest.raises(ValueError, match="not both"):
        TrainColumns(minutes=1, steps=1)


def test_declarations_agree_with_the_code() -> None:
    assert {name.value for name in PresetName} == set(PRESETS)
    assert {device.value for device in Device} == {"auto", "cpu", "cuda", "mps"}
    for each in KINDS.values():
        assert callable(each.load(each.train))
        assert callable(each.load(each.keep))
    with pytest.raises(UserError, match="known: columns, wedge"):
        kind("nothing")


def test_the_command_trains_stops_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a run"
    command = [
        sys.executable,
        "-m",
        "atomseg_app.cli",
        "train",
        "columns",
        *OPTIONS,
        "--steps",
        "5000",
        "-o",
        str(folder),
    ]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 150
        while not read_log(folder) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"'atomseg train columns --resume -o {folder}' goes on" in said
    done = read_log(folder)[-1]["step"]
    assert main(["train", "columns", "--resume", "--steps", str(done + 8), "-o", str(folder)]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(folder / "my-columns.json")
    card = json.loads((folder / "my-columns.json").read_text())
    assert card["training"]["steps"] == done + 8
    assert card["architecture"]["options"]["stem"] == 8, "the settings of the run, not the defaults"
    assert main(["train", "columns", "--resume", "--steps", "2", "-o", str(folder)]) == 1
    assert "steps already" in capsys.readouterr().err


def test_bad_options_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, words in (
        (["--minutes", "1", "--steps", "2"], "not both"),
        (["--picture-px", "70"], "multiple of 16"),
        (["--name", "No Name"], "pattern"),
        (["--learning-rate", "0"], "greater than 0"),
    ):
        assert main(["train", "columns", *options, "-o", str(tmp_path / "run")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_command_simulates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--count",
        "2",
        "--size",
        "64",
        "--preset",
        "hard",
        "--seed",
        "3",
        "-o",
        str(tmp_path / "out"),
        "--labels",
    ]
    assert main(["simulate", *options]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "manifest.json")
    assert len(list((tmp_path / "out").glob("*.tif"))) == 2 * 6
    assert main(["simulate", *options]) == 1
    assert "--overwrite" in capsys.readouterr().err
