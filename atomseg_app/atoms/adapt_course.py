"""Lessons that adapt a column network to look-alikes of one image without unlearning the rest, and how good it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import nn

from atomseg_app.atoms.appearance import Appearance, Floats
from atomseg_app.atoms.look_alikes import OwnColumns, look_alike_preset
from atomseg_app.atoms.network_detect import THRESHOLD, find_peaks
from atomseg_app.atoms.network_pass import NetworkPass
from atomseg_app.networks.column_training import Targets, column_loss, targets_of
from atomseg_app.networks.columns import SIGMA_PX
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import TRAINING
from atomseg_app.simulate.simulator import Batch, Simulator

LEAST_GAIN = 0.005
"""Loss on look-alikes by which an adapted network must be better."""
LARGEST_LOSS = 0.01
"""Loss on pictures of the default preset by which it may be worse."""
F1_MARGIN = 0.002
"""F1, on look-alikes or on the default preset, by which it may be worse."""

SEEDS_APART = 1_000_003
_VALIDATED = 32  # pictures of each kind
_JUDGED_SNR = 5.0
_RADIUS_SPACINGS, _RADIUS_PX = 0.3, 3.0
_PENALTY = 20.0  # of validation loss for each that the default pictures lose beyond half of what they may


@dataclass(frozen=True)
class Validation:
    """How good a network is on fixed pictures that it was not trained on: look-alikes and the default preset's.

    Losses are those of training. ``f1`` of columns with a matched-filter signal-to-noise of at least 5.
    """

    look_alike_loss: float
    default_loss: float
    look_alike_f1: float
    default_f1: float

    def to_json(self) -> dict[str, float]:
        """Rounded, for a card."""
        return {name: round(float(value), 5) for name, value in asdict(self).items()}


class AdaptCourse:
    """Half of each batch from the default preset, the rest look-alikes: crystals, and the image's own columns."""

    def __init__(self, look: Appearance, seed: int, picture_px: int, device: torch.device, report: Report) -> None:
        """Validating obeys ``report``."""
        self._device, self._report = device, report
        preset = look_alike_preset(look, picture_px)
        usual = replace(TRAINING, size_px=picture_px)
        self._simulators = {"default": Simulator(usual, seed, device)}
        library = self._simulators["default"].library
        own = OwnColumns.of(look, device)
        self._simulators["look-alikes"] = Simulator(preset, seed + 1, device, library)
        self._simulators["own-columns"] = Simulator(preset, seed + 2, device, library, arrange=own)
        judge = seed + SEEDS_APART
        self._default = _pictures(Simulator(usual, judge, device, library), _VALIDATED)
        self._look_alikes = [
            *_pictures(Simulator(preset, judge + 1, device, library), _VALIDATED // 2),
            *_pictures(Simulator(preset, judge + 2, device, library, arrange=own), _VALIDATED // 2),
        ]
        self._allowed = float("inf")

    def generators(self) -> dict[str, torch.Generator]:
        """The simulators'."""
        return {name: simulator.generator for name, simulator in self._simulators.items()}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss on fresh pictures."""
        _hold_statistics(module)
        own = batch // 4
        shares = {"default": batch // 2, "look-alikes": batch - batch // 2 - own, "own-columns": own}
        drawn = [targets_of(self._simulators[name].batch(share)) for name, share in shares.items()]
        return column_loss(*self._run(module, _joined(drawn)))

    def judge(self, module: nn.Module) -> Validation:
        """Losses and F1 of a network in evaluation mode; what the default pictures may lose counts from the first."""
        looks, usual = self._losses(module, self._look_alikes), self._losses(module, self._default)
        if self._allowed == float("inf"):
            self._allowed = usual + LARGEST_LOSS / 2
        return Validation(
            looks, usual, f1_of(module, self._look_alikes, self._report), f1_of(module, self._default, self._report)
        )

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Loss on look-alikes, and a penalty for what the default pictures lose."""
        looks, usual = self._losses(module, self._look_alikes), self._losses(module, self._default)
        return {"loss": looks + _PENALTY * max(0.0, usual - self._allowed), "look_alikes": looks, "default": usual}

    @torch.no_grad()
    def _losses(self, module: nn.Module, batches: list[Batch]) -> float:
        total = 0.0
        for batch in batches:
            self._report.check()
            loss, _ = column_loss(*self._run(module, targets_of(batch)))
            total += float(loss) / len(batches)
        return total

    def _run(self, module: nn.Module, targets: Targets) -> tuple[torch.Tensor, Targets]:
        image = targets.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            return module(image), targets


def f1_of(module: nn.Module, batches: list[Batch], report: Report) -> float:
    """F1 of a network's columns in simulated pictures; columns too weak to be sure of count neither way.

    A column is found where a peak of sufficient probability and it are each other's nearest, within 0.3 spacings and
    3 px.
    """
    hits = wrong = missed = 0
    for batch in batches:
        truth = [values.double().cpu().numpy() for values in (batch.truth.x_px, batch.truth.y_px)]
        image, sure = batch.truth.image.cpu().numpy(), (batch.snr >= _JUDGED_SNR).cpu().numpy()
        for index in range(len(batch.image)):
            report.check()
            grey = batch.image[index].float().cpu().numpy()
            peaks = find_peaks(module, NetworkPass.of(grey, SIGMA_PX, 1, batch.image.device), Report())
            peaks = peaks.take(peaks.probability >= THRESHOLD)
            chosen = image == index
            counts = _matched(
                np.column_stack([peaks.x_px, peaks.y_px]),
                np.column_stack([values[chosen] for values in truth]),
                sure[chosen],
            )
            hits, wrong, missed = hits + counts[0], wrong + counts[1], missed + counts[2]
    every = 2 * hits + wrong + missed
    return 2 * hits / every if every else 1.0


def _matched(found: Floats, true: Floats, sure: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, int, int]:
    """Numbers of sure columns found, of peaks that are no column, and of sure columns missed."""
    if not len(found) or not len(true):
        return 0, len(found), int(sure.sum())
    tree, peaks = cKDTree(true), cKDTree(found)
    radius = np.full(len(true), _RADIUS_PX)
    if len(true) > 1:
        radius = np.minimum(radius, _RADIUS_SPACINGS * tree.query(true, k=2)[0][:, 1])
    distance, column = tree.query(found)
    mutual = peaks.query(true)[1][column] == np.arange(len(found))
    hit = mutual & (distance <= radius[column])
    hits = int(sure[column[hit]].sum())
    return hits, int((~hit).sum()), int(sure.sum()) - hits


def _hold_statistics(module: nn.Module) -> None:
    """Batch norms go on with the statistics that they have: those of a few mixed pictures suit neither kind."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def _pictures(simulator: Simulator, count: int) -> list[Batch]:
    return [simulator.batch(8) for _ in range(count // 8)]


def _joined(parts: list[Targets]) -> Targets:
    names = vars(parts[0])
    return Targets(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})
