"""``atomseg models``: what it prints, and that it needs no torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch

from atomseg_app import cli
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.card import bundled_folder, user_folder
from atomseg_app.networks.store import save_model
from atomseg_app.simulate.preset import VERSION


def install(make_card, **changes):
    torch.manual_seed(1)
    return save_model(user_folder(), SigmoidUNet((4, 6, 8)), make_card(name="mine", **changes))


def test_the_list_has_a_line_for_each_model(make_card, capsys):
    install(make_card, figures={"F1": 0.9731})
    assert cli.main(["models"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "task", "title", "from", "parameters", "MB", "F1"]
    (line,) = (line for line in lines if line.startswith("mine "))
    assert re.fullmatch(r"mine\s+columns\s+Small U-Net\s+yours\s+[\d,]+\s+0\.0\s+0\.9731", line)
    assert len(lines) == 1 + len(list(bundled_folder().glob("*.json")))


def test_a_card_is_printed_in_full(make_card, capsys):
    model = install(make_card)
    assert cli.main(["models", "mine"]) == 0
    text = capsys.readouterr().out
    card = model.card
    for fact in (
        card.title, card.name, card.licence, card.sha256, "spinel", "1, 2", "50 steps, 200 samples", "0.01 h on cpu",
        "no: Fifty steps, for a test.", "Made for a test.", "F1: 0.5", "circle: Circular mask of every column.",
        "columns 1.5 to 3 px wide (rms)", "widths = [4, 6, 8]", "2026-11-21", str(model.weights_path),
    ):  # fmt: skip
        assert fact in text, fact
    assert cli.main(["models", str(model.weights_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == model.card.model_dump(mode="json")


@pytest.mark.parametrize("version", ["1", str(VERSION)])
def test_a_card_tells_where_its_pictures_were_simulated_otherwise(make_card, capsys, version):
    training = make_card().training.model_copy(update={"simulator_version": version})
    install(make_card, training=training)
    assert cli.main(["models", "mine"]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Trained on"))
    otherwise = f" (this program simulates version {VERSION})" if version != str(VERSION) else ""
    assert line.endswith(f"smoke, simulator {version}{otherwise}")


def test_unknown_and_broken_models_are_named(make_card, capsys):
    assert cli.main(["models", "nonesuch"]) == 1
    assert "There is no model 'nonesuch'" in capsys.readouterr().err
    install(make_card)
    (user_folder() / "torn.json").write_text("{", encoding="utf-8")
    assert cli.main(["models", "--json"]) == 1
    told = capsys.readouterr()
    assert "torn.json" in told.err
    listed = json.loads(told.out)
    assert "mine" in [model["name"] for model in listed["models"]]
    assert len(listed["problems"]) == 1


def test_listing_needs_no_torch(make_card):
    install(make_card)
    code = (
        "import sys\nfrom atomseg_app import cli\nassert cli.main(['models']) == cli.main(['models', 'mine']) == 0\n"
        "loaded = {'torch', 'scipy', 'h5py', 'PySide6'} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
