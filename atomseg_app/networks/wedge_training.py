"""What wedge networks are taught: slices from their views over a limited tilt range, and the losses."""

from __future__ import annotations

import torch
from torch import nn

from atomseg_app.networks.adversarial import Adversaries
from atomseg_app.networks.image_losses import decibels, similarity
from atomseg_app.networks.wedge_joint import WedgeSinogram, grid_beam
from atomseg_app.networks.wedge_projections import WedgeProjections
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeBatch, WedgeSimulator
from atomseg_app.simulate.wedge_preset import WedgePreset

_JUDGE, _RANKS_APART = 2_000_003, 7919  # between seeds: of validation, and of the processes' training
_VALIDATION_BATCH = 8


def picture_loss(image: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of slices (slices, z, x) whose truth spans 1: mean error, similarity, and decibels of each slice."""
    parts = {
        "l1": 5 * (image - truth).abs().mean(),
        "ssim": 0.5 * (1 - similarity(image, truth)).mean(),
        "psnr": 0.04 * (40 - decibels(image, truth)).mean(),
    }
    return torch.stack(list(parts.values())).sum(), parts


def wedge_loss(module: nn.Module, batch: WedgeBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """Loss of a network on a batch, its parts, and the slices that it gave.

    A network of sinograms learns from these, too: the mean error of the views that it made. One that takes noise out of
    projections learns from these alone, and gives them.
    """
    beam = ParallelBeam(batch.tilt_deg, batch.truth.shape[-1], batch.truth.device)
    if isinstance(module, WedgeProjections):
        image = module.denoise(batch.views, beam) / _top(batch)
        return *picture_loss(image, truth_for(module, batch)), image
    if not isinstance(module, WedgeSinogram):
        image = module(batch.views, beam)
        return *picture_loss(image, batch.truth), image
    filled = module.fill(batch.views, beam)
    image = module.slices(filled, beam)
    loss, parts = picture_loss(image, batch.truth)
    truth = grid_beam(module.angles, beam.size, beam.device).project(batch.truth)
    parts["views"] = (filled - truth).abs().mean() / truth.abs().mean().clamp(min=1e-6)
    return loss + parts["views"], parts, image


def truth_for(module: nn.Module, batch: WedgeBatch) -> torch.Tensor:
    """What the pictures of :func:`wedge_loss` should be: slices, or views without noise whose greatest value is 1."""
    return batch.clean / _top(batch) if isinstance(module, WedgeProjections) else batch.truth


def _top(batch: WedgeBatch) -> torch.Tensor:
    return batch.clean.amax((1, 2), keepdim=True).clamp(min=1e-6)


def wedge_seeds(seed: int, processes: int = 1) -> tuple[int, ...]:
    """Seeds of all slices of a course: what each process trains on, then what is validated on."""
    return (*(seed + _RANKS_APART * rank for rank in range(processes)), _JUDGE + seed)


class WedgeCourse:
    """A wedge network's lessons: fresh slices without end, and a fixed set from another seed to validate on."""

    def __init__(
        self,
        preset: WedgePreset,
        seed: int,
        device: torch.device,
        validation: int = 96,
        *,
        adversarial: float = 0.0,
        rank: int = 0,
        report: Report | None = None,
    ) -> None:
        """``rank`` is that of the process, each of which draws its own slices; validating obeys ``report``.

        ``adversarial`` is the weight of what :class:`Adversaries` find, where the module is that.
        """
        self._adversarial = adversarial
        self._simulator = WedgeSimulator(preset, seed + _RANKS_APART * rank, device)
        self._report = report or Report()
        judge = WedgeSimulator(preset, _JUDGE + seed, device)
        self._validation = [judge.batch(_VALIDATION_BATCH) for _ in range(validation // _VALIDATION_BATCH)]

    def generators(self) -> dict[str, torch.Generator]:
        """The simulator's."""
        return {"simulator": self._simulator.generator}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss on fresh slices."""
        drawn = self._simulator.batch(batch)
        network = module.network if isinstance(module, Adversaries) else module
        loss, parts, image = wedge_loss(network, drawn)
        if isinstance(module, Adversaries):
            parts["adversary"], parts["critic"] = module.losses(image, truth_for(network, drawn))
            loss = loss + self._adversarial * parts["adversary"] + parts["critic"]
        each = torch.stack(list(parts.values())).detach().tolist()  # one transfer from the device
        return loss, dict(zip(parts, each, strict=True))

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean loss and its parts on the fixed set, decibels and similarity."""
        totals: dict[str, float] = {}
        network = module.network if isinstance(module, Adversaries) else module
        for batch in self._validation:
            self._report.check()
            loss, parts, image = wedge_loss(network, batch)
            figures = {"loss": float(loss), **{f"loss_{name}": float(part) for name, part in parts.items()}}
            truth = truth_for(network, batch)
            figures["psnr_db"] = float(decibels(image, truth).mean())
            figures["ssim"] = float(similarity(image, truth).mean())
            for name, value in figures.items():
                totals[name] = totals.get(name, 0.0) + value / len(self._validation)
        return totals
