"""Using a network: tiles answer as the whole does, blocks blend, memory stays what it is, wrong models are refused."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch

from atomseg_app.cli import main
from atomseg_app.data import Labels, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io import scratch
from atomseg_app.label_classes import LabelClass
from atomseg_app.networks.card import read_card
from atomseg_app.networks.checkpoint import read_progress
from atomseg_app.networks.gated_unet import GatedUNet
from atomseg_app.networks.store import load_model
from atomseg_app.operations import Report
from atomseg_app.segmentation import predict as predicting
from atomseg_app.segmentation.blocks import block_probabilities
from atomseg_app.segmentation.grey import GreyRange
from atomseg_app.segmentation.operations import Segment
from atomseg_app.segmentation.predict import predict
from atomseg_app.segmentation.sampling import slice_indices
from atomseg_app.segmentation.settings import TrainSegmentation
from atomseg_app.segmentation.training import train_segmentation

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Volume]:
    """Folder of a model of a few steps, and the volume that it was taught."""
    folder = tmp_path_factory.mktemp("model")
    random = np.random.default_rng(1)
    truth = (random.random((12, 20, 30)) < 0.3).astype(np.uint8)
    truth[4:8, ::6, 10:14] = 2
    volume = Volume((truth * 60 + random.normal(0, 10, truth.shape)).astype(np.float32), (0.5, 0.5, 0.5))
    settings = TrainSegmentation(steps=3, batch=2, patch_px=16, gap=1, device="cpu", axis="y", slices=3)
    train_segmentation(volume, Labels(truth, classes=CLASSES), settings, folder, Report())
    return folder, volume


def test_a_slice_in_tiles_is_the_whole_slice(trained: tuple[Path, Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = trained
    values = np.random.default_rng(2).normal(30, 20, (190, 2, 700)).astype(np.float32)
    asked = Segment(model=str(folder), probabilities=True, device="cpu")
    monkeypatch.setattr("atomseg_app.networks.tiling.precision_of", lambda *_: torch.float32)
    tiled = predict(Volume(values), asked, Report())
    monkeypatch.setattr(predicting, "_TILE_PX", 4096)
    whole = predict(Volume(values), asked, Report())
    assert tiled.probabilities is not None
    assert whole.probabilities is not None
    np.testing.assert_allclose(
        tiled.probabilities.astype(np.float32), whole.probabilities.astype(np.float32), atol=2e-3
    )
    assert np.mean(tiled.labels.values == whole.labels.values) > 0.9999


def test_three_axes_and_flips_are_means_of_their_passes(trained: tuple[Path, Volume]) -> None:
    folder, volume = trained
    found = predict(
        volume,
        Segment(model=str(folder), three_axes=True, probabilities=True, uncertainty=True, device="cpu"),
        Report(),
    )
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.astype(np.float32).sum(0), 1, atol=6e-3)
    assert np.array_equal(found.labels.values, found.probabilities.argmax(0))
    assert found.disagreement is not None
    assert set(np.round(np.unique(found.disagreement.values) * 3).astype(int)) <= {0, 1, 2, 3}
    alone = predict(volume, Segment(model=str(folder), device="cpu"), Report())
    agreed = found.disagreement.values == 0
    assert np.array_equal(alone.labels.values[agreed], found.labels.values[agreed])
    mirrored = Volume(np.ascontiguousarray(volume.values[::-1, :, ::-1]))
    asked = Segment(model=str(folder), flips=True, probabilities=True, device="cpu")
    one, other = predict(volume, asked, Report()), predict(mirrored, asked, Report())
    assert one.probabilities is not None
    assert other.probabilities is not None
    np.testing.assert_allclose(
        other.probabilities[:, ::-1, :, ::-1].astype(np.float32), one.probabilities.astype(np.float32), atol=0.02
    )


def test_blocks_of_a_pointwise_network_blend_to_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atomseg_app.segmentation.blocks.precision_of", lambda *_: torch.float32)

    class Pointwise(torch.nn.Conv3d):
        """Logits that know no neighbours: whatever blocks are cut, the answer is the same."""

    torch.manual_seed(0)
    module = Pointwise(1, 3, 1).eval()
    values = np.random.default_rng(0).uniform(-2, 2, (37, 50, 21)).astype(np.float32)
    with torch.no_grad():
        wanted = torch.softmax(module(torch.from_numpy(values)[None, None]), 1)[0].numpy()
    parts = list(block_probabilities(module, values, GreyRange(0, 1), Report(), side_px=16))
    assert [start for start, _ in parts] == sorted(start for start, _ in parts)
    found = np.concatenate([part for _, part in parts], 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_blocks_shrink_where_memory_ends_and_the_result_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(torch.nn.Conv3d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[-1] > 40:
                raise RuntimeError("out of memory")
            return super().forward(x)

    module, report = Greedy(1, 2, 1).eval(), Report()
    values = np.zeros((50, 70, 70), np.float32)
    parts = list(block_probabilities(module, values, GreyRange(0, 1), report, side_px=64))
    assert sum(part.shape[1] for _, part in parts) == 50
    assert "32 voxels" in report.facts.notes[0]
    with pytest.raises(UserError, match="smallest block"):
        list(block_probabilities(module, np.zeros((50, 70, 70)), GreyRange(0, 1), report, side_px=41))


def test_large_results_lie_in_files(trained: tuple[Path, Volume], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, volume = trained
    monkeypatch.setattr(scratch, "IN_MEMORY_BYTES", 100)
    asked = Segment(model=str(folder), probabilities=True, uncertainty=True, device="cpu")
    small = predict(volume, asked, Report())
    assert isinstance(small.probabilities, np.memmap)
    assert isinstance(small.labels.values, np.memmap)
    assert small.labels.values.shape == volume.shape


def test_wrong_models_and_cancelling(trained: tuple[Path, Volume], tmp_path: Path) -> None:
    folder, volume = trained
    with pytest.raises(UserError, match="of the task columns"):
        predict(volume, Segment(model="columns", device="cpu"), Report())
    with pytest.raises(UserError, match="no model 'nowhere'"):
        predict(volume, Segment(model="nowhere", device="cpu"), Report())
    with pytest.raises(Cancelled):
        predict(volume, Segment(model=str(folder), device="cpu"), Report(cancelled=lambda: True))


def test_the_command_line_trains_and_segments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(1)
    truth = (np.indices((16, 24, 32))[2] > 14).astype(np.uint8)
    grey = (truth * 100 + random.normal(0, 10, truth.shape)).astype(np.float32)
    painted = np.full(truth.shape, 77, np.uint8)
    painted[:, ::6] = truth[:, ::6]
    facts = {"axes": "ZYX", "kind": "volume"}
    tifffile.imwrite(tmp_path / "sample.tif", grey, imagej=True, metadata=facts)
    tifffile.imwrite(tmp_path / "painted.tif", painted, imagej=True, metadata=facts)
    run, out = str(tmp_path / "run"), tmp_path / "out"
    train = ["train", "segmentation", str(tmp_path / "sample.tif"), "--labels", str(tmp_path / "painted.tif")]
    options = ["--steps", "30", "--patch-px", "16", "--batch", "4", "--gap", "2", "--device", "cpu", "-o", run]
    assert main([*train, "--ignore-value", "77", "--architecture", "unet", *options]) == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert capsys.readouterr().out.strip().endswith("model.json")
    segment = ["segment", str(tmp_path / "sample.tif"), "--model", run, "-o", str(out), "--probabilities"]
    assert main(segment) == 0
    found = tifffile.imread(out / "sample_labels.tif")
    assert found.shape == truth.shape
    assert found.dtype == np.uint8
    assert np.mean(found == truth) > 0.9
    with h5py.File(out / "sample_probabilities.h5") as file:
        assert file["probabilities"].shape == (2, *truth.shape)
        assert list(file["probabilities"].attrs["classes"]) == ["background", "class 1"]
        assert np.array_equal(np.asarray(file["probabilities"]).argmax(0), found)
    assert main(segment) == 1
    assert "already there" in capsys.readouterr().err
    assert main([*segment, "--overwrite"]) == 0
    tifffile.imwrite(tmp_path / "short.tif", painted[1:], imagej=True, metadata=facts)
    assert main([*train[:4], str(tmp_path / "short.tif"), "-o", str(tmp_path / "other")]) == 1
    assert "15 x 24 x 32" in (told := capsys.readouterr().err)
    assert "16 x 24 x 32" in told
    assert main(["train", "segmentation", "-o", run]) == 2


def test_a_volume_of_one_voxel_is_answered() -> None:
    module = GatedUNet(1, 2, 3, (4, 8)).eval()
    (part,) = list(block_probabilities(module, np.zeros((1, 1, 1)), GreyRange(0, 1), Report()))
    assert part[1].shape == (2, 1, 1, 1)


def test_the_answer_is_that_of_monais_sliding_window(
    trained: tuple[Path, Volume], monkeypatch: pytest.MonkeyPatch
) -> None:
    inferers = pytest.importorskip("monai.inferers")
    folder, volume = trained
    monkeypatch.setattr("atomseg_app.networks.tiling.precision_of", lambda *_: torch.float32)
    found = predict(volume, Segment(model=str(folder), probabilities=True, device="cpu"), Report())
    module, card = load_model(folder)
    shown = GreyRange.of(volume.values).apply(np.moveaxis(volume.values, 1, 0))
    stack = np.stack([shown[slice_indices(i, card.input.channels, len(shown))] for i in range(len(shown))])
    with torch.no_grad():
        theirs = inferers.sliding_window_inference(torch.from_numpy(stack), shown.shape[1:], 4, module, overlap=0.25)
    chances = torch.softmax(theirs, 1).numpy().transpose(1, 2, 0, 3)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.astype(np.float32), chances, atol=2e-3)


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    truth = (np.indices((16, 24, 32))[2] > 14).astype(np.uint8)
    facts = {"axes": "ZYX", "kind": "volume"}
    tifffile.imwrite(tmp_path / "v.tif", (truth * 100).astype(np.float32), imagej=True, metadata=facts)
    tifffile.imwrite(tmp_path / "l.tif", truth, imagej=True, metadata=facts)
    run = tmp_path / "run"
    command = ["train", "segmentation", str(tmp_path / "v.tif"), "--labels", str(tmp_path / "l.tif"), "-o", str(run)]
    options = ["--minutes", "20", "--patch-px", "16", "--batch", "1", "--gap", "2", "--device", "cpu"]
    code = "import sys; from atomseg_app.cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *command, *options]) as process:
        while not (run / "checkpoint.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.2)
        process.kill()
    done = read_progress(run)
    assert done is not None
    assert done.step > 0
    assert main([*command, "--resume", "--steps", str(done.step + 5)]) == 0
    card = read_card(run / "model.json")
    assert card.training.steps == done.step + 5
