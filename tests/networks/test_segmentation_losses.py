"""Losses of labels against MONAI's, against closed forms, and with voxels that teach nothing."""

from __future__ import annotations

import math

import pytest
import torch

from atomseg_app.label_classes import IGNORE
from atomseg_app.networks import segmentation_losses as ours

CLASSES = 3


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, CLASSES, 9, 11, generator=generator), torch.randint(CLASSES, (2, 9, 11), generator=generator)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 5.0])
def test_focal_is_monais(batch: tuple[torch.Tensor, torch.Tensor], gamma: float) -> None:
    monai = pytest.importorskip("monai.losses")
    logits, target = batch
    weights = torch.tensor([0.2, 0.3, 0.5])
    theirs = monai.FocalLoss(gamma=gamma, use_softmax=True, to_onehot_y=True, weight=weights, include_background=True)
    # MONAI's mean counts every class of a voxel; only the true one has a part.
    assert ours.focal(logits, target, weights, gamma) == pytest.approx(
        float(theirs(logits, target[:, None])) * CLASSES, rel=1e-5
    )


@pytest.mark.parametrize("background", [False, True])
def test_dice_is_monais(batch: tuple[torch.Tensor, torch.Tensor], background: bool) -> None:
    monai = pytest.importorskip("monai.losses")
    logits, target = batch
    theirs = monai.DiceLoss(include_background=background, to_onehot_y=True, softmax=True, batch=True,
                            smooth_nr=1.0, smooth_dr=1.0)  # fmt: skip
    assert ours.dice(logits, target, background=background) == pytest.approx(float(theirs(logits, target[:, None])))


def test_cross_entropy_and_dice_are_monais(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    monai = pytest.importorskip("monai.losses")
    logits, target = batch
    weights = torch.tensor([1.0, 2.0, 3.0])
    entropy = monai.DiceCELoss(include_background=True, to_onehot_y=True, softmax=True, batch=True, weight=weights,
                               lambda_dice=0.0)  # fmt: skip
    assert ours.cross_entropy(logits, target, weights) == pytest.approx(
        float(entropy(logits, target[:, None])), rel=1e-5
    )
    torch_own = torch.nn.functional.cross_entropy(logits, target, weights)
    assert ours.cross_entropy(logits, target, weights) == pytest.approx(float(torch_own), rel=1e-5)
    both = ours.loss_of("ce-dice", None)(logits, target)
    plain = monai.DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True, smooth_nr=1.0,
                           smooth_dr=1.0)(logits, target[:, None])  # fmt: skip
    assert both == pytest.approx(float(plain + torch.nn.functional.cross_entropy(logits, target)), rel=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.3, 0.7)])
def test_tversky_is_monais(batch: tuple[torch.Tensor, torch.Tensor], alpha: float, beta: float) -> None:
    monai = pytest.importorskip("monai.losses")
    logits, target = batch
    theirs = monai.TverskyLoss(include_background=True, to_onehot_y=True, softmax=True, batch=True, alpha=alpha,
                               beta=beta, smooth_nr=1.0, smooth_dr=1.0)  # fmt: skip
    found = ours.tversky(logits, target, false_positives=alpha, false_negatives=beta, background=True)
    assert found == pytest.approx(float(theirs(logits, target[:, None])), rel=1e-5)


def test_tversky_of_equal_weights_is_dice(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = batch
    # 2TP/(2TP+FP+FN) is TP/(TP+FP/2+FN/2): the same but for what is added to smooth, here next to nothing.
    found = ours.tversky(logits, target, false_positives=0.5, false_negatives=0.5, smooth=1e-9)
    torch.testing.assert_close(found, ours.dice(logits, target, smooth=1e-9))


@pytest.mark.parametrize("name", ["ce-dice", "focal", "focal-dice", "dice", "tversky", "focal-tversky"])
def test_what_is_ignored_teaches_nothing(name: ours.LossName, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = batch
    loss = ours.loss_of(name, torch.tensor([1.0, 2.0, 4.0]))
    hidden = target.clone()
    hidden[:, 4:] = IGNORE
    other = logits.clone()
    other[:, :, 4:] = 37.0
    torch.testing.assert_close(loss(logits, hidden), loss(logits[:, :, :4], target[:, :4]))
    other.requires_grad_()
    loss(other, hidden.to(torch.uint8)).backward()
    assert other.grad is not None
    assert (other.grad[:, :, 4:] == 0).all()
    assert (other.grad[:, :, :4] != 0).any()


@pytest.mark.parametrize("name", ["ce-dice", "focal", "focal-dice", "dice", "tversky", "focal-tversky"])
def test_nothing_labelled_at_all_is_no_disaster(name: ours.LossName) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = ours.loss_of(name, None)(logits, torch.full((1, 4, 4), IGNORE))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


def test_losses_of_known_probabilities() -> None:
    logits = torch.log(torch.tensor([0.7, 0.2, 0.1]))[None, :, None]
    target = torch.zeros(1, 1, dtype=torch.long)
    assert ours.focal(logits, target, gamma=2.0) == pytest.approx(-(0.3**2) * math.log(0.7), rel=1e-5)
    assert ours.focal(logits, target, torch.tensor([0.2, 0.3, 0.5]), 1.0) == pytest.approx(
        -0.2 * 0.3 * math.log(0.7), rel=1e-5
    )
    score = (2 * 0.7 + 1) / (0.7 + 1 + 1)
    absent = [1 - 1 / (chance + 1) for chance in (0.2, 0.1)]
    assert ours.dice(logits, target, background=True) == pytest.approx((1 - score + sum(absent)) / 3, rel=1e-5)


def test_recall_is_preferred_by_the_weight_of_what_is_missed() -> None:
    target = torch.zeros(1, 1, 10, dtype=torch.long)
    target[..., :5] = 1
    few, many = torch.zeros(1, 2, 1, 10), torch.zeros(1, 2, 1, 10)
    few[:, 1, :, :3], many[:, 1, :, :7] = 20.0, 20.0
    few[:, 0, :, 3:], many[:, 0, :, 7:] = 20.0, 20.0
    recall, precision = ours.loss_of("tversky", None, recall=0.8), ours.loss_of("tversky", None, recall=0.2)
    assert recall(many, target) < recall(few, target)
    assert precision(many, target) > precision(few, target)


def test_class_weights() -> None:
    counts = [800.0, 196.0, 4.0]
    assert ours.class_weights("uniform", counts).tolist() == [1, 1, 1]
    inverse = ours.class_weights("inverse", counts)
    assert (inverse * torch.tensor(counts)).std() < 1e-3
    root = ours.class_weights("inverse-sqrt", counts)
    assert float(root[2] / root[0]) == pytest.approx(math.sqrt(200))
    assert ours.class_weights("genc", counts).tolist() == pytest.approx([0.6, 0.9, 1.5])
    with pytest.raises(ValueError, match="three classes, not 2"):
        ours.class_weights("genc", counts[:2])
