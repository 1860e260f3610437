"""What AtomSegNet's U-Net is taught, to compare with: the circular mask of columns, on the pictures the others see.

By cross-entropy: with the published loss, in which an error off the columns costs eleven times one on them, the network
takes thousands of steps to answer more than "nothing".
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.column_training import PictureCourse
from atomseg_app.simulate.simulator import Batch

MASK = ("mask",)
"""Outputs of a network that gives a mask alone."""

_WEAK, _LEAST = 1e-12, 1e-6


def zero_to_one(images: torch.Tensor) -> torch.Tensor:
    """Images (..., y, x) scaled to 0..1 each, as AtomSegNet's networks see them; constant ones become 0."""
    low, high = images.amin((-2, -1), keepdim=True), images.amax((-2, -1), keepdim=True)
    return (images - low) / (high - low).clamp(min=_WEAK)


def circular_mask(batch: Batch) -> torch.Tensor:
    """Mask (images, 1, y, x) of a batch: 1 within the half maximum of a column's image, 0 elsewhere."""
    return (batch.mask > 0.5).float()[:, None]


def mask_loss(out: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of answers (images, 1, y, x) in 0..1 with masks of the same shape."""
    return functional.binary_cross_entropy(out.clamp(_LEAST, 1 - _LEAST), mask)


class MaskCourse(PictureCourse[tuple[torch.Tensor, torch.Tensor]]):
    """The lessons of a network that gives a mask, from the pictures of the column network."""

    def lesson_of(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and masks, each (images, 1, y, x)."""
        return zero_to_one(batch.image)[:, None], circular_mask(batch)

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss on fresh pictures."""
        image, mask = self.lesson_of(self._simulator.batch(batch))
        out = self._answer(module, image)
        return mask_loss(out, mask), {"overlap": _overlap(out.detach(), mask)}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean loss and overlap with the true masks (Dice) on the fixed set."""
        totals = {"loss": 0.0, "overlap": 0.0}
        for image, mask in self._validation:
            self._report.check()
            out = self._answer(module, image)
            totals["loss"] += float(mask_loss(out, mask)) / len(self._validation)
            totals["overlap"] += _overlap(out, mask) / len(self._validation)
        return totals

    def _answer(self, module: nn.Module, image: torch.Tensor) -> torch.Tensor:
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            out: torch.Tensor = module(image)
        return out.float()


def _overlap(out: torch.Tensor, mask: torch.Tensor) -> float:
    """Dice coefficient of an answer above one half."""
    found = (out > 0.5).float()
    both = (found + mask).sum().clamp(min=1)
    return float(2 * (found * mask).sum() / both)
