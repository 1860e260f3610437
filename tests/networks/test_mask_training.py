"""AtomSegNet's U-Net, trained to compare with: what it is shown, what it is taught, and what its card says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atomseg_app.atoms.column_model import column_network
from atomseg_app.errors import UserError
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.card import read_card
from atomseg_app.networks.column_model import new_network, train_columns
from atomseg_app.networks.column_settings import TrainColumns
from atomseg_app.networks.column_training import column_seeds
from atomseg_app.networks.mask_training import MaskCourse, circular_mask, mask_loss, zero_to_one
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import PRESETS
from atomseg_app.simulate.simulator import Simulator

SMALL = replace(PRESETS["default"], size_px=64)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_pictures_are_scaled_to_0_and_1_each_and_constant_ones_stay_finite() -> None:
    images = torch.stack([torch.arange(12.0).reshape(3, 4), 7 - 2 * torch.arange(12.0).reshape(3, 4), torch.ones(3, 4)])
    scaled = zero_to_one(images)
    torch.testing.assert_close(scaled[0], torch.arange(12.0).reshape(3, 4) / 11)
    torch.testing.assert_close(scaled[1], 1 - scaled[0])
    assert not scaled[2].any()


def test_the_mask_is_a_disc_of_the_half_maximum_round_every_column() -> None:
    batch = Simulator(SMALL, 5, CPU).batch(4)
    mask = circular_mask(batch)
    assert mask.shape == (4, 1, 64, 64)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    x, y = batch.truth.x_px.round().long(), batch.truth.y_px.round().long()
    seen = (x >= 0) & (x < 64) & (y >= 0) & (y < 64)
    assert seen.any()
    assert mask[batch.truth.image[seen], 0, y[seen], x[seen]].all()


def test_it_learns_masks_by_heart_and_in_doubt_answers_that_there_is_nothing() -> None:
    torch.manual_seed(0)
    course, module = MaskCourse(SMALL, 3, CPU, validation=8), SigmoidUNet((8, 16, 32))
    with torch.no_grad():
        begun = course.validate(module.eval())
    assert begun["loss"] < 0.6, "columns are rare, and it begins by saying so"
    batch = Simulator(SMALL, 5, CPU).batch(2)
    image, mask = zero_to_one(batch.image)[:, None], circular_mask(batch)
    optimiser = torch.optim.AdamW(module.parameters(), lr=2e-2)
    losses = []
    for _ in range(60):
        module.train()
        loss = mask_loss(module(image), mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    found = module(image).detach() > 0.5
    assert (found != (mask > 0.5)).float().mean() < 0.6 * mask.mean(), "better than answering that there is nothing"


def test_the_lessons_give_a_loss_to_learn_from_and_how_much_of_the_masks_is_met() -> None:
    course = MaskCourse(SMALL, 3, CPU, validation=8)
    module = SigmoidUNet((8, 16, 32))
    loss, parts = course.loss(module, 2)
    loss.backward()
    assert all(bool(p.grad is not None and p.grad.isfinite().all()) for p in module.parameters())
    assert 0 <= parts["overlap"] <= 1

    class Perfect(torch.nn.Module):
        masks = iter([mask for _, mask in course._validation])

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return next(self.masks)

    assert course.validate(Perfect()) == pytest.approx({"loss": 0.0, "overlap": 1.0}, abs=1e-5)


def test_its_card_says_what_it_is_and_finding_refuses_it(tmp_path: Path) -> None:
    settings = TrainColumns(name="mask", network="atomsegnet", picture_px=64, batch=1, steps=1, device="cpu")
    model = train_columns(settings, tmp_path, Report())
    card = read_card(model.card_path)
    assert (card.task, card.architecture.name, card.input.normalisation) == ("masks", "atomsegnet-unet", "zero-to-one")
    assert [output.name for output in card.outputs] == ["mask"]
    assert card.training.seeds == column_seeds(1)
    assert card.parameters == pytest.approx(1.74e6, rel=0.01)
    with pytest.raises(UserError, match="mask"):
        column_network(str(model.card_path), CPU)
    with pytest.raises(UserError, match="not of the standard column network"):
        train_columns(settings.model_copy(update={"network": "standard", "start_from": str(model.card_path)}),
                      tmp_path / "other", Report())  # fmt: skip


def test_a_seed_gives_the_same_weights() -> None:
    first, again = new_network("atomsegnet", 3).state_dict(), new_network("atomsegnet", 3).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
