"""Losses of labels: logits (batch, classes, ...) against classes (batch, ...) of which ``IGNORE`` teaches nothing.

Focal: Lin et al. 2017, over the softmax. Dice: Milletari, Navab, Ahmadi 2016, pooled over the batch. Tversky: Salehi,
Erdogmus, Gholipour 2017; focal Tversky: Abraham and Khan 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch.nn import functional

from atomseg_app.label_classes import IGNORE

LossName = Literal["ce-dice", "focal", "focal-dice", "dice", "tversky", "focal-tversky"]
Weighting = Literal["uniform", "inverse", "inverse-sqrt", "genc"]
GENC_WEIGHTS = (0.2, 0.3, 0.5)
"""Weights of background, support and metal of Genc, Kovarik, Fraser (arXiv 2201.07342)."""

_SMOOTH = 1.0  # voxels: a class that a batch does not have costs next to nothing, and its gradient stays small


def class_weights(kind: Weighting, counts: Sequence[float]) -> torch.Tensor:
    """Weights (classes,) with a mean of 1 from how often each class occurs.

    Raises ValueError where "genc" is asked of other than three classes.
    """
    share = torch.as_tensor(counts, dtype=torch.float32).clamp(min=1.0)
    if kind == "genc" and len(share) != len(GENC_WEIGHTS):
        raise ValueError(f"the weights of Genc et al. are of three classes, not {len(share)}")
    raw = {
        "uniform": torch.ones_like(share),
        "inverse": 1 / share,
        "inverse-sqrt": share.rsqrt(),
        "genc": torch.tensor(GENC_WEIGHTS) if kind == "genc" else share,
    }[kind]
    return raw / raw.mean()


def focal(
    logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None, gamma: float = 2.0
) -> torch.Tensor:
    """Mean over labelled voxels of ``-w (1 - p)^gamma log p``, p the probability of the true class.

    ``gamma`` 0 is the cross-entropy.
    """
    known = target != IGNORE
    logs = _log_of_truth(logits, target, known)
    loss = -logs * (1 - logs.exp()) ** gamma if gamma else -logs
    if weights is not None:
        loss = loss * weights.to(loss)[_classes(target, known)]
    return (loss * known).sum() / known.sum().clamp(min=1)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Weighted mean of ``-log p`` over labelled voxels; the weights' sum divides, as torch does it."""
    known = target != IGNORE
    weight = known.to(logits.dtype)
    if weights is not None:
        weight = weight * weights.to(logits)[_classes(target, known)]
    return -(weight * _log_of_truth(logits, target, known)).sum() / weight.sum().clamp(min=1e-6)


def dice(
    logits: torch.Tensor, target: torch.Tensor, *, background: bool = False, smooth: float = _SMOOTH
) -> torch.Tensor:
    """Mean over classes of one minus the soft Dice of all labelled voxels of the batch together."""
    true, total = _overlaps(logits, target)
    score = (2 * true[0] + smooth) / (total[0] + total[1] + smooth)
    return (1 - score)[0 if background else 1 :].mean()


def tversky(
    logits: torch.Tensor,
    target: torch.Tensor,
    *,
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    gamma: float = 1.0,
    background: bool = False,
    smooth: float = _SMOOTH,
) -> torch.Tensor:
    """Mean over classes of ``(1 - T)^(1/gamma)`` with Tversky's index T of the batch.

    More weight of ``false_negatives`` prefers recall, of ``false_positives`` precision; both 0.5 is Dice.
    """
    true, total = _overlaps(logits, target)
    wrong, missed = total[0] - true[0], total[1] - true[0]
    index = (true[0] + smooth) / (true[0] + false_positives * wrong + false_negatives * missed + smooth)
    rest = (1 - index)[0 if background else 1 :].clamp(min=1e-6)  # the root's slope at 0 is infinite
    return (rest ** (1 / gamma)).mean()


def loss_of(
    name: LossName, weights: torch.Tensor | None, *, gamma: float = 2.0, recall: float = 0.7
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Loss of a name: ``loss(logits, target)``. ``recall`` 0..1 is the weight of false negatives of Tversky's."""

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if name == "ce-dice":
            return cross_entropy(logits, target, weights) + dice(logits, target)
        if name == "focal":
            return focal(logits, target, weights, gamma)
        if name == "focal-dice":
            return focal(logits, target, weights, gamma) + dice(logits, target)
        if name == "dice":
            return dice(logits, target)
        focus = 4 / 3 if name == "focal-tversky" else 1.0
        return tversky(logits, target, false_positives=1 - recall, false_negatives=recall, gamma=focus)

    return loss


def _classes(target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Classes as indices; 0 where nothing is known."""
    return torch.where(known, target, torch.zeros_like(target)).long()


def _log_of_truth(logits: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    logs = functional.log_softmax(logits, 1)
    return logs.gather(1, _classes(target, known)[:, None])[:, 0]


def _overlaps(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every class: its probability where it is true (1, classes), and sums of probability and of truth (2, ...)."""
    classes = logits.shape[1]
    known = target != IGNORE
    flat = torch.softmax(logits, 1).movedim(1, -1)[known]  # (voxels, classes)
    truth = functional.one_hot(target[known].long(), classes).to(flat.dtype)
    return (flat * truth).sum(0)[None], torch.stack([flat.sum(0), truth.sum(0)])
