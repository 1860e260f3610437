"""Learning from the user's own series: killed and gone on with, cancelled, stopped, seeded, refused."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks.checkpoint import averaged_weights
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import WEDGE_TRAINING
from atomseg_app.tomography.predicted_weight import FACTORS, predicted_weight
from atomseg_app.tomography.self_supervised import fill_self
from atomseg_app.tomography.turned_slices import turned
from atomseg_app.tomography.unseen_views import unseen_views

TILTS = torch.arange(-60, 61, 5, dtype=torch.float64)
QUIET = replace(
    WEDGE_TRAINING, counted=0.0, shift_px=(0.0, 0.0), tilt_error_deg=(0.0, 0.0), gain=(0.0, 0.0), size_px=32,
    families=("ellipses",),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def series() -> tuple[torch.Tensor, torch.Tensor, ParallelBeam]:
    """True slices, views and beam."""
    batch = WedgeSimulator(QUIET, 3, torch.device("cpu")).batch(4, TILTS)
    return batch.truth, batch.views, ParallelBeam(TILTS, 32)


def rms(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float((image - truth).square().mean().sqrt())


def test_views_that_are_left_out_are_everywhere_and_at_the_ends() -> None:
    shuffled = TILTS[torch.randperm(len(TILTS), generator=torch.Generator().manual_seed(2))]
    beam = ParallelBeam(shuffled, 16, shift_px=shuffled / 100)
    slices = torch.rand(12, 16, 16, generator=torch.Generator().manual_seed(1))
    slices[::3] = 0
    parts = unseen_views(beam.project(slices), beam)
    assert parts is not None
    out, kept = set(parts.unseen_beam.tilt_deg.tolist()), set(parts.shown_beam.tilt_deg.tolist())
    assert out | kept == set(TILTS.tolist())
    assert not out & kept
    assert {-60.0, -55.0, 55.0, 60.0} <= out
    assert max(np.diff(sorted(kept))) <= 15
    assert len(parts.shown) == 8, "empty slices are left out"
    lit = slices[[1, 2, 4, 5, 7, 8, 10, 11]]
    torch.testing.assert_close(parts.misfit(lit), torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(parts.misfit(0 * lit), torch.ones(8))
    torch.testing.assert_close(parts.misfit(1.5 * lit), torch.full((8,), 0.5), rtol=1e-4, atol=0)
    few = ParallelBeam(TILTS[:19], 16)
    assert unseen_views(few.project(slices), few) is None
    assert unseen_views(torch.zeros(2, len(TILTS), 16), beam) is None


def test_the_weight_that_predicts_views_is_near_the_one_that_the_truth_chooses() -> None:
    noisy = replace(QUIET, counted=1.0, dose=(300.0, 300.1))
    batch, beam = WedgeSimulator(noisy, 3, torch.device("cpu")).batch(8, TILTS), ParallelBeam(TILTS, 32)
    parts = unseen_views(batch.views, beam)
    assert parts is not None
    chosen, _ = predicted_weight(parts, Report())
    start, weight = sirt(beam, batch.views, 10), found_weight(batch.views)
    errors = {f: rms(total_variation(beam, batch.views, f * weight, 100, start), batch.truth) for f in FACTORS}
    assert errors[chosen] < 1.1 * min(errors.values())
    assert errors[chosen] < 0.8 * max(errors.values())


def test_too_few_views_are_told_and_give_total_variation() -> None:
    beam = ParallelBeam(TILTS[::2], 32)
    truth = WedgeSimulator(QUIET, 3, torch.device("cpu")).batch(2, TILTS[::2]).truth
    report = Report()
    found = fill_self(beam.project(truth), beam, report, minutes=60)
    assert "too few views" in report.facts.notes[0]
    assert rms(found, truth) < 0.5 * rms(torch.zeros_like(truth), truth)


def test_a_quarter_turn_is_exact_and_a_mirror_image_is_its_own_inverse() -> None:
    slices = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    quarter, none = torch.full((3,), np.pi / 2, dtype=torch.float32), torch.zeros(3)
    no, yes = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    torch.testing.assert_close(turned(slices, none, no), slices, rtol=0, atol=1e-4)
    found = turned(slices, quarter, no)
    assert min(float((found - slices.rot90(k, (1, 2))).abs().max()) for k in (1, -1)) < 1e-4
    torch.testing.assert_close(turned(slices, none, yes), slices.flip(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(turned(turned(slices, none, yes), none, yes), slices, rtol=0, atol=1e-4)


def test_a_seed_gives_the_same_answer_again_and_views_are_obeyed(
    series: tuple[torch.Tensor, torch.Tensor, ParallelBeam], tmp_path: Path
) -> None:
    truth, views, beam = series
    shown: list[np.ndarray] = []
    report = Report(on_preview=lambda _name, array: shown.append(np.asarray(array)))
    folders = [tmp_path / name for name in ("first", "again", "other")]
    first, again, _ = (
        fill_self(views, beam, report, folder=folder, steps=4, seed=seed)
        for folder, seed in zip(folders, (5, 5, 6), strict=True)
    )
    assert torch.equal(first, again)
    one, same, other = (averaged_weights(folder / "round-1")["correct.0.unet.stem.0.weight"] for folder in folders)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert first.shape == truth.shape
    assert float(first.min()) >= 0
    assert shown[0].shape == (32, 32)
    misfit = (beam.project(first) - views).norm() / views.norm()
    assert float(misfit) < 0.05
    assert rms(first, truth) < 0.5 * rms(torch.zeros_like(truth), truth)


def test_a_run_that_was_cancelled_goes_on_as_if_nothing_had_happened(
    series: tuple[torch.Tensor, torch.Tensor, ParallelBeam], tmp_path: Path
) -> None:
    _, views, beam = series
    told = itertools.count(1)
    state = {"cancelled": False}

    def on_progress(_fraction: float, _message: str) -> None:
        state["cancelled"] = next(told) > 3

    with pytest.raises(Cancelled):
        fill_self(
            views, beam, Report(on_progress, cancelled=lambda: state["cancelled"]), folder=tmp_path, steps=4, seed=5
        )
    assert (tmp_path / "round-1" / "checkpoint.safetensors").exists()
    assert not (tmp_path / "round-4").exists()
    whole = fill_self(views, beam, Report(), steps=4, seed=5)
    assert torch.equal(fill_self(views, beam, Report(), folder=tmp_path, steps=4, seed=5), whole)
    assert torch.equal(fill_self(views, beam, Report(), folder=tmp_path, steps=4, seed=5), whole), "nothing is left"
    with pytest.raises(UserError, match="another series, or with another seed"):
        fill_self(views, beam, Report(), folder=tmp_path, steps=4, seed=6)
    with pytest.raises(UserError, match="another series, or with another seed"):
        fill_self(2 * views, beam, Report(), folder=tmp_path, steps=4, seed=5)
    (tmp_path / "self.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match=r"self\.json cannot be read"):
        fill_self(views, beam, Report(), folder=tmp_path, steps=4, seed=5)


def test_stopping_keeps_what_there_is(series: tuple[torch.Tensor, torch.Tensor, ParallelBeam]) -> None:
    truth, views, beam = series
    told = itertools.count(1)
    state = {"stopping": False}

    def on_progress(_fraction: float, _message: str) -> None:
        state["stopping"] = next(told) > 3

    found = fill_self(views, beam, Report(on_progress, stopping=lambda: state["stopping"]), steps=10_000, seed=5)
    assert rms(found, truth) < 0.5 * rms(torch.zeros_like(truth), truth)


def test_a_run_that_was_killed_goes_on_and_is_as_good(
    series: tuple[torch.Tensor, torch.Tensor, ParallelBeam], tmp_path: Path
) -> None:
    truth, views, beam = series
    safetensors.torch.save_file({"views": views}, tmp_path / "views.safetensors")
    script = f"""
        from pathlib import Path
        import safetensors.torch, torch
        from atomseg_app.operations import Report
        from atomseg_app.rays.parallel_beam import ParallelBeam
        from atomseg_app.tomography import self_supervised
        torch.set_num_threads(1)
        self_supervised._CHECKPOINT_S = 0.0
        views = safetensors.torch.load_file({str(tmp_path / "views.safetensors")!r})["views"]
        beam = ParallelBeam(range(-60, 61, 5), 32)
        report = Report(lambda fraction, message: print(message, flush=True))
        self_supervised.fill_self(views, beam, report, folder=Path({str(tmp_path / "run")!r}), steps=16, seed=5)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        twos = 0
        for line in process.stdout:
            twos += line.startswith("step 2 ")
            if twos == 2:  # in the second round
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "round-2" / "checkpoint.safetensors").exists()
    steps: list[str] = []
    began = time.monotonic()
    found = fill_self(
        views, beam, Report(lambda _, message: steps.append(message)), folder=tmp_path / "run", steps=16, seed=5
    )
    assert time.monotonic() - began < 600
    assert sum(step.startswith("step 1 ") for step in steps) == 2, "what was done is not done again"
    whole = fill_self(views, beam, Report(), steps=16, seed=5)
    assert rms(found, truth) < 1.05 * rms(whole, truth)


def test_turned_slices_teach_what_the_wedge_hides() -> None:
    """Spots that are all alike: after a minute they are nearer to the truth than by total variation."""
    generator = torch.Generator().manual_seed(8)
    places = 32 * (0.25 + 0.5 * torch.rand(12, 9, 2, generator=generator))
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    off = (rows - places[..., :1, None]) ** 2 + (columns - places[..., 1:, None]) ** 2
    truth = (-off / (2 * 1.2**2)).exp().sum(1)
    tilts = torch.arange(-56, 57, 4, dtype=torch.float64)
    beam = ParallelBeam(tilts, 32)
    views = beam.project(truth)
    report = Report()
    found = fill_self(views, beam, report, steps=360, seed=1)
    assert not report.facts.notes
    plain = total_variation(beam, views, found_weight(views), 150, sirt(beam, views, 10))
    assert rms(found, truth) < 0.7 * rms(plain, truth)
    assert float((beam.project(found) - views).norm() / views.norm()) < 0.05
