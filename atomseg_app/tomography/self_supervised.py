"""Filling of a missing wedge without a training set: a small network learns from the user's own views.

What total variation makes of the views, turned about the tilt axis and seen again through the same rays, is to come
out again: what is known in one direction tells what is missing in another. What the network then makes of the views is
turned and learnt from in the next round. (IsoNet, Liu et al., Nat. Commun. 13 (2022) 6482, and DeepDeWedge, Wiedemann
and Heckel, Nat. Commun. 15 (2024) 8255, turn subtomograms; equivariant imaging: Chen, Tachella and Davies, ICCV 2021.)
The network is the one of ``wedge_residual.py``, which starts from total variation and obeys the views, with fewer
features. Slices that nothing is learnt from, turned, judge the rounds, and whether what was learned is used at all; if
not, the answer is total variation, its weight chosen by views that are left out.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text
from atomseg_app.networks.checkpoint import averaged_weights, read_progress
from atomseg_app.networks.training import Plan, train
from atomseg_app.networks.wedge_residual import WedgeResidual
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation
from atomseg_app.tomography.predicted_weight import predicted_weight
from atomseg_app.tomography.turned_slices import Lessons, Stopped, TurnedSlices
from atomseg_app.tomography.unseen_views import lit_slices, unseen_views

VERSION = 2
"""Of what is learned, and how: an unfinished run of another is not gone on with."""
_ROUNDS = 4
_BATCH, _MOST_STEPS, _VALIDATE_EVERY = 8, 100_000, 100
_CHECKPOINT_S = 20.0
_BLOCK = 16  # slices that are filled at a time
_SOFT, _ITERATIONS = 10, 100  # of SIRT and of total variation, where nothing is learnt
_TRIED, _TRIALS = 6, 32  # one slice of so many is not learnt from; so many trials are made of those
_BETTER = 0.9  # of total variation's error on trial, else nothing was learnt
_OBEY = 10  # iterations of SIRT at the end
_START = 60  # iterations of total variation that the network begins with
_RUN = "self.json"


def fill_self(
    views: torch.Tensor,
    beam: ParallelBeam,
    report: Report,
    *,
    folder: Path | None = None,
    minutes: float = 10.0,
    seed: int = 0,
    steps: int | None = None,
) -> torch.Tensor:
    """Slices (slices, z, x) on the CPU of views (slices, view, t), by a network fitted to them for so many minutes.

    ``folder`` keeps checkpoints: called again with the same views after an interruption, it goes on from the last one.
    ``steps``, instead of a time, give the same answer again from a seed. A user's *stop* ends learning
    early and gives what there is. Previews: ``slice`` (z, x), the middle one. Raises UserError where the folder holds
    the run of another series; Cancelled.
    """
    if views.ndim != 3 or tuple(views.shape[1:]) != beam.range_shape or not len(views):
        raise ValueError(f"views of shape {tuple(views.shape)} are not slices of {beam.range_shape}")
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="atomseg-self-") as made:
            return fill_self(views, beam, report, folder=Path(made), minutes=minutes, seed=seed, steps=steps)
    views = views.float().cpu()
    _claim(folder, views, beam, seed)
    report.progress(0.0, "first reconstruction")
    judged = unseen_views(views, beam)
    run = _Run(views, beam, report)
    if judged is None:
        report.note("There are too few views, or nothing in them, to learn from; this is total variation.")
        return run.first(1.0)
    factor, _ = predicted_weight(judged, report)
    lit = lit_slices(views).nonzero()[:, 0]
    tried = lit[::_TRIED]
    learnt = lit[torch.arange(len(lit)) % _TRIED != 0] if len(lit) > _TRIED else lit
    network, first = _network(seed), run.first(1.0)
    trial = Lessons(first[tried], views[tried], beam, network, seed + _ROUNDS, report, _TRIALS)
    best: tuple[float, Path | None] = (_BETTER * trial.before, None)
    with suppress(Stopped):
        for number in range(_ROUNDS):
            part, place = report.part(number / _ROUNDS, (number + 1) / _ROUNDS), folder / f"round-{number + 1}"
            slices = first if number == 0 else run.filled(network)
            lessons = Lessons(slices[learnt], views[learnt], beam, network, seed + number, report)
            course = TurnedSlices(lessons, trial, seed + number, part, run.show)
            try:
                train(network, course, _plan(minutes, steps, seed), place, part)
            finally:
                progress = read_progress(place)
                if progress is not None and progress.best < best[0]:
                    best = progress.best, place
    if best[1] is None:
        report.note(
            "What was learned from the series fills the wedge of slices that it was not shown no better than total "
            "variation does, which is the answer."
        )
        return run.first(factor)
    report.log(f"slices on trial are {best[0]:.4f} off, after total variation {trial.before:.4f}")
    network.load_state_dict(averaged_weights(best[1]))
    return run.filled(network)


class _Run:
    """The user's series: how it is reconstructed at first, and filled by a network."""

    def __init__(self, views: torch.Tensor, beam: ParallelBeam, report: Report) -> None:
        self._views, self._beam, self._report = views, beam, report

    @torch.no_grad()
    def first(self, factor: float) -> torch.Tensor:
        """Slices (slices, z, x) by total variation, with so many times the weight that the noise suggests."""
        made = []
        for block in self._blocks():
            start = sirt(self._beam, block, _SOFT)
            made.append(total_variation(self._beam, block, factor * found_weight(block), _ITERATIONS, start))
        return torch.cat(made)

    @torch.no_grad()
    def filled(self, network: nn.Module) -> torch.Tensor:
        """Slices (slices, z, x) that a network gives, and SIRT brings nearer to the views."""
        network.eval()
        return torch.cat([sirt(self._beam, block, _OBEY, network(block, self._beam)) for block in self._blocks()])

    @torch.no_grad()
    def show(self, network: nn.Module) -> None:
        """Preview of the middle slice."""
        middle = len(self._views) // 2
        self._report.preview("slice", network(self._views[middle : middle + 1], self._beam)[0].numpy())

    def _blocks(self) -> Iterator[torch.Tensor]:
        for start in range(0, len(self._views), _BLOCK):
            self._report.check()
            yield self._views[start : start + _BLOCK]


def _network(seed: int) -> WedgeResidual:
    """The network with random weights from a seed; it changes nothing yet.

    torch's own random numbers stay as they are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WedgeResidual(stem=8, widths=(16, 24, 32), depth=1, stages=1, start=_START)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _plan(minutes: float, steps: int | None, seed: int) -> Plan:
    """How long each round lasts; by steps where they are given, for all rounds together."""
    return Plan(
        steps=max(1, steps // _ROUNDS) if steps else _MOST_STEPS, batch=_BATCH, warmup=20, decay=0.4, seed=seed,
        validate_every=_VALIDATE_EVERY, checkpoint_s=_CHECKPOINT_S, minutes=0.0 if steps else minutes / _ROUNDS,
    )  # fmt: skip


def _claim(folder: Path, views: torch.Tensor, beam: ParallelBeam, seed: int) -> None:
    """Note whose run a folder holds. Raises UserError where it is that of another series or seed."""
    content = hashlib.sha256(views.contiguous().numpy().tobytes())
    for numbers in (beam.tilt_deg, beam.shift_px):
        content.update(numbers.numpy().tobytes())
    mine = {"series": content.hexdigest(), "seed": seed, "version": VERSION}
    path = folder / _RUN
    if path.exists():
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as problem:
            raise UserError(f"{path} cannot be read ({problem}); remove the folder to begin again.") from None
        if found != mine:
            raise UserError(
                f"The folder {folder} holds what was learned from another series, or with another seed; choose another "
                "folder, or remove it."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(mine, indent=2) + "\n")
