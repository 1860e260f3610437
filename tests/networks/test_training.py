"""The training loop: what it learns, and that nothing which interrupts it changes what comes out."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks import checkpoint
from atomseg_app.networks.column_model import new_network
from atomseg_app.networks.column_training import ColumnCourse, column_seeds
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.networks.training import BEST, CHECKPOINT, LOG, Plan, Progress, read_log, train
from atomseg_app.networks.training_log import convergence, loss_curve
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import TRAINING

SMALL = replace(TRAINING, size_px=64, margin_px=16)
CPU = torch.device("cpu")
KNOWN_LOSS = 1.7462
QUICK = Plan(steps=12, batch=1, warmup=3, validate_every=4, log_every=1, checkpoint_s=1e9)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def course(report: Report | None = None, seed: int = 1) -> ColumnCourse:
    return ColumnCourse(SMALL, seed, CPU, validation=8, report=report)


def one_layer(seed: int = 1) -> nn.Module:
    """The least network that has every channel; quick, and without statistics of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Conv2d(1, len(CHANNELS), 3, padding=1)


def losses(folder: Path) -> list[dict[str, object]]:
    """The log without its times."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in read_log(folder)]


def after(steps: int) -> Report:
    """Report that is cancelled when a run has told of so many steps."""
    told = itertools.count(1)
    state = {"cancelled": False}

    def on_progress(_fraction: float, _message: str) -> None:
        state["cancelled"] = next(told) >= steps

    return Report(on_progress, cancelled=lambda: state["cancelled"])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(one_layer(), course(), QUICK, folder, Report())
    return folder


def test_a_seed_leads_to_a_known_loss(tmp_path):
    plan = Plan(steps=40, batch=2, warmup=10, validate_every=20, log_every=10)
    module = new_network("small", 1)
    train(module, course(), plan, tmp_path, Report())
    found = [entry["validation"]["loss"] for entry in read_log(tmp_path) if "validation" in entry]
    assert found[-1] == pytest.approx(KNOWN_LOSS, abs=0.03)
    assert found[-1] < found[0] - 0.05
    assert not module.training


def test_the_same_seed_gives_the_same_run(uninterrupted, tmp_path):
    train(one_layer(), course(), QUICK, tmp_path, Report())
    assert losses(tmp_path) == losses(uninterrupted)
    assert (tmp_path / BEST).read_bytes() == (uninterrupted / BEST).read_bytes()
    train(one_layer(), course(seed=2), QUICK, tmp_path / "other", Report())
    assert losses(tmp_path / "other") != losses(uninterrupted)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(uninterrupted, tmp_path):
    script = (
        "from tests.networks.test_training import *\n"
        f"torch.set_num_threads(1); train(one_layer(), course(), QUICK, Path({str(tmp_path)!r}), Report())"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2]) as process:
        deadline = time.monotonic() + 120
        while len(read_log(tmp_path)) < 8 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
    stood = checkpoint.read_progress(tmp_path)
    assert stood is not None
    assert stood.step in (4, 8, 12)
    train(one_layer(), course(), QUICK, tmp_path, Report())
    assert losses(tmp_path) == losses(uninterrupted)
    assert (tmp_path / BEST).read_bytes() == (uninterrupted / BEST).read_bytes()


def test_cancelling_keeps_the_checkpoint_of_the_moment(uninterrupted, tmp_path):
    with pytest.raises(Cancelled):
        train(one_layer(), course(), QUICK, tmp_path, after(6))
    stood = checkpoint.read_progress(tmp_path)
    assert stood is not None
    assert stood.step == 6
    train(one_layer(), course(), QUICK, tmp_path, Report())
    assert losses(tmp_path) == losses(uninterrupted)


def test_cancelling_while_validating_validates_later(uninterrupted, tmp_path):
    asked = itertools.count(1)
    with pytest.raises(Cancelled):  # the course asks only while it validates; its first question is answered with yes
        train(
            one_layer(), course(Report(cancelled=lambda: True)), QUICK, tmp_path, Report(cancelled=lambda: stop(asked))
        )
    stood = checkpoint.read_progress(tmp_path)
    assert stood is not None
    assert stood.step == 4
    assert stood.validated == 0
    train(one_layer(), course(), QUICK, tmp_path, Report())
    assert losses(tmp_path) == losses(uninterrupted)


def stop(asked: itertools.count[int]) -> bool:
    """The loop asks once before each step, and once by telling of it: the ninth time after the fourth step."""
    return next(asked) >= 9


def test_a_batch_line_split_by_the_checkpoint_is_the_same_mean(tmp_path):
    plan = replace(QUICK, log_every=5)
    train(one_layer(), course(), plan, tmp_path / "whole", Report())
    with pytest.raises(Cancelled):
        train(one_layer(), course(), plan, tmp_path / "split", after(7))
    train(one_layer(), course(), plan, tmp_path / "split", Report())
    assert losses(tmp_path / "split") == losses(tmp_path / "whole")


def test_training_ends_early_when_nothing_gets_better(tmp_path):
    plan = replace(QUICK, steps=1000, validate_every=2, learning_rate=0.0, weight_decay=0.0, patience=3)
    assert train(one_layer(), course(), plan, tmp_path, Report()).step == 2 * (1 + 3)


def test_a_rate_far_too_large_is_told_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"diverged at step \d+.*smaller learning rate than 1e\+30"):
        train(one_layer(), course(), replace(QUICK, learning_rate=1e30, warmup=0, steps=50), tmp_path, Report())


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "no progress"])
def test_what_is_no_checkpoint_is_refused(uninterrupted, tmp_path, damage):
    content = (uninterrupted / CHECKPOINT).read_bytes()
    changed = {
        "text": b"nonsense",
        "empty": b"",
        "cut": content[:-100],
        "no progress": content.replace(b"progress", b"pr0gress"),
    }
    (tmp_path / CHECKPOINT).write_bytes(changed[damage])
    with pytest.raises(UserError, match=r"is no checkpoint of a training run"):
        train(one_layer(), course(), QUICK, tmp_path, Report())


def test_a_checkpoint_of_another_network_is_refused(uninterrupted, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    with pytest.raises(UserError, match="belongs to another network"):
        train(new_network("small", 1), course(), QUICK, tmp_path, Report())


def test_fewer_steps_than_done_are_refused(uninterrupted, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes((uninterrupted / CHECKPOINT).read_bytes())
    with pytest.raises(UserError, match="has done 12 steps already"):
        train(one_layer(), course(), replace(QUICK, steps=5), tmp_path, Report())
    assert train(one_layer(), course(), QUICK, tmp_path, Report()).step == 12, "as many are a finished run"


def test_a_damaged_log_is_read_and_continued(uninterrupted, tmp_path):
    for name in (CHECKPOINT, LOG, BEST):
        (tmp_path / name).write_bytes((uninterrupted / name).read_bytes())
    whole = read_log(tmp_path)
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"step": 99, "lo\xff\n[1, 2]\n{"step": "seven"}\n\n' + b"[" * 100_000 + b'\n{"step": 5, "loss"')
    assert read_log(tmp_path) == whole
    train(one_layer(), course(), replace(QUICK, steps=14), tmp_path, Report())
    assert [entry["step"] for entry in read_log(tmp_path)][-3:] == [13, 14, 14]
    for line in (tmp_path / LOG).read_text().splitlines():
        json.loads(line)
    assert read_log(tmp_path / "absent") == []


def test_a_run_by_the_clock_ends_and_its_rate_falls_to_nothing(tmp_path):
    plan = replace(QUICK, steps=10**8, minutes=0.02, validate_every=1000)
    done = train(one_layer(), course(), plan, tmp_path, Report())
    assert 1.2 <= done.seconds < 30
    assert read_log(tmp_path)[-1]["validation"], "the end is validated"
    by_clock = Plan(steps=10**8, minutes=10, warmup=0, decay=0.25, learning_rate=1.0)
    assert [by_clock.rate(7, 60 * minute) for minute in (0, 7.5, 8.75, 10, 11)] == pytest.approx([1, 1, 0.5, 0, 0])
    by_steps = Plan(steps=100, warmup=10, decay=0.2, learning_rate=1.0)
    assert [by_steps.rate(step) for step in (0, 4, 9, 50, 80, 90, 100)] == pytest.approx([0.1, 0.5, 1, 1, 1, 0.5, 0])
    assert by_clock.fraction(Progress(step=5, seconds=300)) == pytest.approx(0.5)


def test_each_process_draws_its_own_pictures() -> None:
    seeds = column_seeds(7, 3)
    assert len(set(seeds)) == 4
    first, second = (ColumnCourse(SMALL, 7, CPU, validation=8, rank=rank) for rank in (0, 1))
    assert [c.generators()["simulator"].initial_seed() for c in (first, second)] == list(seeds[:2])


@pytest.mark.parametrize(
    ("falls", "flat"),
    [
        ([5, 3, 2, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01, 1.005], True),
        ([5, 4.5, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5], False),
        ([2, 1, 1, 1, 1, 1, 1, 1, 1.5, 1.7], True),
        ([3, 2], False),
        ([], False),
    ],
)
def test_whether_a_run_had_become_flat(falls: list[float], flat: bool) -> None:
    entries = [{"step": 10 * (n + 1), "validation": {"loss": loss}} for n, loss in enumerate(falls)]
    converged, note = convergence(entries)
    assert converged == flat
    assert note.startswith("Flat" if flat else "Not")


def test_a_loss_curve_keeps_its_ends_and_its_order() -> None:
    entries: list[dict[str, Any]] = [
        {"step": n, "seconds": 36.0 * n, "validation": {"loss": 1 / n}} for n in range(1, 101)
    ]
    entries.insert(50, {"step": 51, "seconds": 1.0, "loss": 9.0})
    assert loss_curve(entries[:3]) == ((0.01, 1.0), (0.02, 0.5), (0.03, 0.33333))
    curve = loss_curve(entries, 5)
    assert [hours for hours, _ in curve] == [0.01, 0.26, 0.51, 0.75, 1.0]
    assert all(loss == pytest.approx(0.01 / hours, abs=1e-5) for hours, loss in curve)


@pytest.fixture
def shared_home(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Function that runs ``atomseg train columns`` by two processes."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "-m", "atomseg_app.cli", "train", "columns", "--network", "small", "--picture-px", "64", "--batch", "1",
            *options,
        ]  # fmt: skip
        return subprocess.run(
            command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=500
        )

    return run


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_one_network(shared_home, tmp_path):
    folder = tmp_path / "run"
    done = shared_home("--steps", "12", "-o", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == str(folder / "my-columns.json"), "only the first process speaks"
    card = json.loads((folder / "my-columns.json").read_text())
    assert card["training"]["samples"] == 2 * 12
    assert card["training"]["seeds"] == list(column_seeds(1, 2))
    again = shared_home("--steps", "16", "--resume", "-o", str(folder))
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads((folder / "my-columns.json").read_text())["training"]["samples"] == 2 * 16
