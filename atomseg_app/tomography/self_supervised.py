"""Filling of a missing wedge without a training set: a small network learns from the user's own slices.

A reconstruction is turned about the tilt axis, so that other directions are missing from it than were in the series,
seen again through the same rays with the same noise, and a network learns to give back what was turned: in the manner
of IsoNet (Liu et al., Nat. Commun. 13 (2022) 6482) and DeepDeWedge (Wiedemann and Heckel, Nat. Commun. 15 (2024)
8255), whose rotations of subtomograms these are, and of equivariant imaging (Chen, Tachella and Davies, ICCV 2021).
What it gives for the measured views is turned in the next round. The network is the one of ``wedge_residual.py``,
which starts from total variation and obeys the views, with fewer features.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_open, write_text
from atomseg_app.networks.checkpoint import CHECKPOINT, averaged_weights
from atomseg_app.networks.training import Plan, train
from atomseg_app.networks.wedge_residual import WedgeResidual
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation
from atomseg_app.tomography.turned_slices import Stopped, TurnedSlices

_VERSION = 1  # of what is learned, and how
_ROUNDS = 2
_BATCH, _MOST_STEPS, _VALIDATE_EVERY, _PATIENCE = 6, 100_000, 50, 6
_CHECKPOINT_S = 20.0
_BLOCK = 16  # slices that are filled at a time
_SOFT, _START, _NETWORK_START = 10, 100, 40  # iterations of SIRT, and of total variation at first and in the network
_RUN, _FILLED = "self.json", "filled.safetensors"


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
    ``steps`` of each round, instead of a time, give the same answer again from a seed. A user's *stop* ends learning
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
    run = _Run(views, beam, report)
    slices, network = run.first(), _network(seed)
    for number in range(_ROUNDS):
        part, place = report.part(number / _ROUNDS, (number + 1) / _ROUNDS), folder / f"round-{number + 1}"
        kept = place / _FILLED
        if not kept.exists():
            course = TurnedSlices(slices, views, beam, seed + number, part, run.show)
            if number:
                network.load_state_dict(averaged_weights(folder / f"round-{number}"))
            try:
                train(network, course, _plan(minutes / _ROUNDS, steps, seed + number), place, part)
            except Stopped:
                return run.filled(network, place) if (place / CHECKPOINT).exists() else slices
            _keep(kept, run.filled(network, place))
        slices = safetensors.torch.load_file(kept)["slices"]
    return slices


class _Run:
    """The user's series: how it is reconstructed at first, and filled by a network."""

    def __init__(self, views: torch.Tensor, beam: ParallelBeam, report: Report) -> None:
        self._views, self._beam, self._report = views, beam, report

    @torch.no_grad()
    def first(self) -> torch.Tensor:
        """Slices (slices, z, x) by total variation."""
        made = []
        for block in self._blocks():
            self._report.check()
            start = sirt(self._beam, block, _SOFT)
            made.append(total_variation(self._beam, block, found_weight(block), _START, start))
        return torch.cat(made)

    @torch.no_grad()
    def filled(self, network: nn.Module, folder: Path) -> torch.Tensor:
        """Slices (slices, z, x) by the averaged weights of a folder."""
        network.load_state_dict(averaged_weights(folder))
        network.eval()
        made = []
        for block in self._blocks():
            self._report.check()
            made.append(network(block, self._beam))
        return torch.cat(made)

    @torch.no_grad()
    def show(self, network: nn.Module) -> None:
        """Preview of the middle slice."""
        middle = len(self._views) // 2
        self._report.preview("slice", network(self._views[middle : middle + 1], self._beam)[0].numpy())

    def _blocks(self) -> Iterator[torch.Tensor]:
        for start in range(0, len(self._views), _BLOCK):
            yield self._views[start : start + _BLOCK]


def _network(seed: int) -> WedgeResidual:
    """The network with random weights from a seed; torch's own random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WedgeResidual(stem=8, widths=(16, 24, 32), depth=1, stages=1, start=_NETWORK_START)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _plan(minutes: float, steps: int | None, seed: int) -> Plan:
    """How long a round lasts; by steps where they are given."""
    return Plan(
        steps=steps or _MOST_STEPS, batch=_BATCH, warmup=20, decay=0.4, seed=seed, validate_every=_VALIDATE_EVERY,
        patience=_PATIENCE, checkpoint_s=_CHECKPOINT_S, minutes=0.0 if steps else minutes,
    )  # fmt: skip


def _claim(folder: Path, views: torch.Tensor, beam: ParallelBeam, seed: int) -> None:
    """Note whose run a folder holds. Raises UserError where it is that of another series or seed."""
    content = hashlib.sha256(views.contiguous().numpy().tobytes())
    for numbers in (beam.tilt_deg, beam.shift_px):
        content.update(numbers.numpy().tobytes())
    mine = {"series": content.hexdigest(), "seed": seed, "version": _VERSION}
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


def _keep(path: Path, slices: torch.Tensor) -> None:
    with atomic_open(path) as stream:
        stream.write(safetensors.torch.save({"slices": slices.contiguous()}))
