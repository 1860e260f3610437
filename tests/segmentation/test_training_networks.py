"""Training a segmentation network and using it: from painted slices to labels, stopped, resumed, and refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.networks.card import find_model, list_models, user_folder
from atomseg_app.networks.store import load_model
from atomseg_app.networks.training_log import read_log
from atomseg_app.operations import Report
from atomseg_app.segmentation.course import SegmentationCourse
from atomseg_app.segmentation.operations import Segment
from atomseg_app.segmentation.predict import predict
from atomseg_app.segmentation.scores import confusion, mean_dice, scores
from atomseg_app.segmentation.settings import LASTING, TrainSegmentation
from atomseg_app.segmentation.training import keep_segmentation, lessons_of, train_segmentation

CLASSES = (LabelClass(3, "pores"), LabelClass(9, "support"), LabelClass(20, "metal", "#ff0000"))
TINY = TrainSegmentation(name="tiny", patch_px=16, batch=2, steps=4, gap=2, device="cpu", slices=3)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


def phantom(shape: tuple[int, int, int] = (20, 28, 40)) -> tuple[Volume, Labels]:
    """A slab of support with bright balls in a little noise, painted in six slices across y."""
    random = np.random.default_rng(3)
    z, y, x = np.indices(shape)
    truth = (np.abs(x - shape[2] / 2) < 9).astype(np.uint8)
    for centre in random.uniform(0.1, 0.9, (10, 3)) * shape:
        truth[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < 3.5**2] = 2
    grey = np.array([8.0, 59.0, 205.0])[truth] + random.normal(0, 10, shape)
    painted = np.full(shape, IGNORE, np.uint8)
    for place in (2, 7, 12, 17, 22, 26):
        painted[:, place] = np.array([3, 9, 20], np.uint8)[truth[:, place]]
    return Volume(grey.astype(np.float32), (0.5, 0.5, 0.5)), Labels(painted, classes=CLASSES)


def after(steps: int) -> Report:
    """Report that is cancelled when a run has told of so many steps."""
    told = itertools.count(1)
    state = {"cancelled": False}

    def on_progress(_fraction: float, message: str) -> None:
        state["cancelled"] = state["cancelled"] or (message.startswith("step") and next(told) >= steps)

    return Report(on_progress, cancelled=lambda: state["cancelled"])


def losses(folder: Path) -> list[dict[str, object]]:
    """The log without its times."""
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in read_log(folder)]


@pytest.mark.parametrize(
    ("architecture", "dimensions"), [("unet", "2d"), ("attention", "2.5d"), ("attention-res", "2.5d"), ("unet", "3d")]
)
def test_every_kind_trains_and_segments(architecture: Any, dimensions: Any, tmp_path: Path) -> None:
    volume, labels = phantom()
    settings = TINY.model_copy(update={"architecture": architecture, "dimensions": dimensions})
    model = train_segmentation(volume, labels, settings, tmp_path, Report())
    card = model.card
    assert (card.task, card.training.steps, card.training.samples) == ("segmentation", 4, 8)
    assert card.segmentation is not None
    assert card.segmentation.axis == "y"
    assert [(each.value, each.name) for each in card.segmentation.classes] == [
        (each.value, each.name) for each in CLASSES
    ]
    told = json.loads((tmp_path / "report.json").read_text())
    assert set(told["classes"]) == {"pores", "support", "metal"}
    assert np.sum(told["confusion"]) == 20 * 40
    assert "hd95_nm" in told["classes"]["support"]
    for baseline in ("otsu", "forest"):
        assert np.sum(told["baselines"][baseline]["confusion"]) == 20 * 40
        assert told["baselines"][baseline]["classes"]["support"]["dice"] > 0.7
    assert find_model(tmp_path).card_path == model.card_path
    asked = Segment(model=str(tmp_path), probabilities=True, uncertainty=True, device="cpu")
    found = predict(volume, asked, Report())
    assert found.labels.shape == volume.shape
    assert found.labels.classes == CLASSES
    assert found.labels.pixel_size_nm == volume.pixel_size_nm
    assert set(np.unique(found.labels.values)) <= {3, 9, 20}
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.astype(np.float32).sum(0), 1, atol=5e-3)
    assert found.entropy is not None
    assert 0 <= found.entropy.values.min() <= found.entropy.values.max() <= 1


def test_a_little_training_beats_chance_by_far(tmp_path: Path) -> None:
    volume, labels = phantom()
    settings = TINY.model_copy(update={"steps": 60, "patch_px": 32, "batch": 4, "size": "small"})
    model = train_segmentation(volume, labels, settings, tmp_path, Report())
    assert float(model.card.figures["dice, support"]) > 0.8
    logged = [entry["validation"] for entry in read_log(tmp_path) if "validation" in entry]
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert {"dice_pores", "dice_support"} <= set(logged[-1])


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    volume, labels = phantom()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = TINY.model_copy(update={"steps": 6})
    train_segmentation(volume, labels, settings, whole, Report())
    with pytest.raises(Cancelled):
        train_segmentation(volume, labels, settings, parts, after(3))
    with pytest.raises(UserError, match="holds a run already"):
        train_segmentation(volume, labels, settings, parts, Report())
    resumed = train_segmentation(volume, labels, settings, parts, Report(), resume=True)
    assert losses(parts) == losses(whole)
    for one, other in zip(load_model(whole)[0].parameters(), load_model(parts)[0].parameters(), strict=True):
        assert torch.equal(one, other)
    assert resumed.card.training.steps == 6


def test_asking_to_stop_keeps_the_best_and_a_cancelled_run_can_be_kept(tmp_path: Path) -> None:
    volume, labels = phantom()
    seen: list[float] = []
    report = Report(lambda fraction, _: seen.append(fraction), stopping=lambda: len(seen) >= 2)
    model = train_segmentation(volume, labels, TINY.model_copy(update={"steps": 50}), tmp_path / "a", report)
    assert model.card.training.steps == 2
    with pytest.raises(Cancelled):
        train_segmentation(volume, labels, TINY, tmp_path / "b", after(2), shelf=user_folder())
    keep_segmentation(tmp_path / "b", Report(), shelf=user_folder())
    assert [each.card.name for each in list_models("segmentation") if each.origin == "yours"] == ["tiny"]


def test_training_begins_with_another_models_weights_also_for_other_classes(tmp_path: Path) -> None:
    volume, labels = phantom()
    first = train_segmentation(volume, labels, TINY, tmp_path / "a", Report())
    two = np.where(labels.values == 20, np.uint8(9), labels.values)
    settings = TINY.model_copy(update={"start_from": str(first.card_path), "steps": 1})
    model = train_segmentation(volume, Labels(two, classes=CLASSES[:2]), settings, tmp_path / "b", Report())
    assert model.card.training.adapted_from == f"{first.card.name} ({first.card.sha256})"
    assert model.card.training.samples_in_all == first.card.training.samples + model.card.training.samples
    assert model.card.training.hours_before == first.card.training.hours
    assert model.card.training.loss_curve[: len(first.card.training.loss_curve)] == first.card.training.loss_curve
    assert len(model.card.outputs) == 2
    before, now = load_model(first)[0].state_dict(), load_model(model)[0].state_dict()
    for name, value in before.items():
        if value.ndim > 1 and not name.startswith("head."):  # one step from where it was, not from elsewhere
            assert torch.nn.functional.cosine_similarity(value.flatten(), now[name].flatten(), 0) > 0.95, name
    with pytest.raises(UserError, match="another network"):
        train_segmentation(
            volume, labels, settings.model_copy(update={"architecture": "unet"}), tmp_path / "c", Report()
        )


def test_training_looks_at_as_many_slices_as_the_model_that_it_begins_with(tmp_path: Path) -> None:
    volume, labels = phantom()
    settings = TINY.model_copy(update={"dimensions": "2.5d", "slices": 7, "steps": 1})
    first = train_segmentation(volume, labels, settings, tmp_path / "a", Report())
    report = Report()
    again = settings.model_copy(update={"slices": 5, "start_from": str(first.card_path)})
    model = train_segmentation(volume, labels, again, tmp_path / "b", report)
    assert model.card.input.channels == 7
    assert [text for text in report.facts.notes if "looks at 7 slices" in text]
    with pytest.raises(UserError, match="another network"):
        train_segmentation(volume, labels, again.model_copy(update={"dimensions": "2d"}), tmp_path / "c", Report())


def test_out_of_memory_halves_the_pieces_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    volume, labels = phantom()
    settings = TINY.model_copy(update={"patch_px": 64})
    lessons = lessons_of(volume, labels, settings)
    report = Report()
    course = SegmentationCourse(
        lessons.teaching, lessons.judging, lessons.names, settings, torch.device("cpu"), report
    )  # fmt: skip

    class Greedy(torch.nn.Conv2d):
        """A network for which pieces beyond 32 px are too large."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] > 32:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
            return super().forward(x)

    loss, _ = course.loss(Greedy(3, 3, 1), 2)
    assert torch.isfinite(loss)
    assert "64 px; they are 32 px" in report.facts.notes[0]

    class Broken(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        course.loss(Broken(3, 3, 1), 2)


def test_settings_that_change_a_run_are_refused_when_it_is_resumed(tmp_path: Path) -> None:
    volume, labels = phantom()
    with pytest.raises(Cancelled):
        train_segmentation(volume, labels, TINY, tmp_path, after(2))
    with pytest.raises(UserError, match="batch"):
        train_segmentation(volume, labels, TINY.model_copy(update={"batch": 3}), tmp_path, Report(), resume=True)
    assert {"steps", "minutes", "name", "device", "patience"} | set(LASTING) | {"patch_px"} == set(
        TrainSegmentation.model_fields
    )


def test_scores_of_a_hand_made_case() -> None:
    truth = np.array([0, 0, 0, 1, 1, IGNORE], np.uint8)
    found = np.array([0, 1, 0, 1, 0, 1], np.uint8)
    table = scores(confusion(truth, found, 3), ["a", "b", "c"])
    assert table["b"] == {
        "dice": 0.5, "iou": pytest.approx(1 / 3), "precision": 0.5, "recall": 0.5, "volume_fraction_error": 0.0,
        "voxels": 2.0,
    }  # fmt: skip
    assert table["a"]["dice"] == pytest.approx(4 / 6)
    assert table["c"]["dice"] is None
    assert table["c"]["recall"] is None
    assert mean_dice(table) == 0.5
