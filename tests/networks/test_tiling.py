"""Tiles of a network give what the whole image gives, at constant memory, and stop or shrink when they must."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks.atomsegnet import NestedUNet, SigmoidUNet
from atomseg_app.networks.tiling import apply_tiled, precision_of, tiles
from atomseg_app.operations import Report


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lively(module: nn.Module, seed: int = 1) -> nn.Module:
    """Random weights and statistics of normalisation that keep signals at their size, so that answers differ."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data = torch.randn(part.weight.shape, generator=generator)
            part.weight.data *= (2 / part.weight[0].numel()) ** 0.5
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(0.1 * torch.randn(part.num_features, generator=generator))
            part.running_var.uniform_(0.8, 1.2, generator=generator)
    return module.eval()


def picture(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


NETWORKS = {"U-Net": lambda: SigmoidUNet((4, 8, 16)), "U-Net++": lambda: NestedUNet((4, 4, 8, 8, 8))}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_declared_reach_is_that_of_the_gradient(kind: str) -> None:
    """No pixel farther than that has any influence on an answer, and one almost as far has."""
    module = NETWORKS[kind]().double()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):  # positive and of mean one: no rectifier closes, nothing cancels
            nn.init.uniform_(part.weight, 0.5, 1.0)
            part.weight.data /= part.weight[0].numel()
            nn.init.zeros_(part.bias)
    module.eval()
    farthest = 0
    for shift in range(0, module.stride, 3):
        image = picture(1, 1, 288, 288).double().requires_grad_()
        at = 144 + shift
        (gradient,) = torch.autograd.grad(module(image)[0, 0, at, at], image)
        farthest = max(farthest, int((gradient[0, 0].nonzero() - at).abs().max()))
    assert module.reach_px - module.stride < farthest <= module.reach_px


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("size", [(333, 250), (256, 256), (517, 64)])
def test_tiles_equal_the_whole_image(kind: str, size: tuple[int, int]) -> None:
    module, image = lively(NETWORKS[kind]()), picture(*size)
    whole = apply_tiled(module, image, Report(), tile_px=4096, precision="float32")
    tiled = apply_tiled(module, image, Report(), tile_px=288, overlap_px=module.reach_px, precision="float32")
    assert tiled.shape == (1, *size)
    assert whole.std() > 0.01
    assert (tiled - whole).abs().max() < 1e-5


def test_tiles_equal_the_whole_image_in_bfloat16() -> None:
    module, image = lively(NETWORKS["U-Net"]()), picture(400, 300)
    whole = apply_tiled(module, image, Report(), tile_px=4096, precision="bfloat16")
    tiled = apply_tiled(module, image, Report(), tile_px=192, overlap_px=32, precision="bfloat16")
    exact = apply_tiled(module, image, Report(), precision="float32")
    assert (tiled - whole).abs().max() < 1e-3
    assert 0 < (whole - exact).abs().max() < 0.05


def test_a_whole_image_is_the_module_applied_once() -> None:
    module, image = lively(NETWORKS["U-Net"]()), picture(64, 96)
    with torch.no_grad():
        once = module(image[None, None])[0]
    assert torch.allclose(apply_tiled(module, image, Report(), precision="float32"), once, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 2), (31, 33)])
def test_images_smaller_than_the_grid_are_mirrored(size: tuple[int, int]) -> None:
    """As an independent reference, numpy's reflection to the next multiple of the stride."""
    import numpy as np

    module, image = lively(NETWORKS["U-Net++"]()), picture(*size)
    pad = [(0, -n % 16) for n in size]
    padded = torch.from_numpy(np.pad(image.numpy(), pad, mode="reflect"))
    with torch.no_grad():
        expected = module(padded[None, None])[0, :, : size[0], : size[1]]
    assert torch.allclose(apply_tiled(module, image, Report(), precision="float32"), expected, atol=1e-6)


def test_a_mirrored_border_and_several_input_channels() -> None:
    import numpy as np

    module = nn.Sequential(nn.Conv2d(2, 3, 5, padding=2)).eval()
    module.stride = 4
    image = picture(2, 30, 41)
    padded = torch.from_numpy(np.pad(image.numpy(), [(0, 0), (8, 8), (8, 8)], mode="reflect"))
    with torch.no_grad():
        expected = module(padded[None])[0, :, 8:-8, 8:-8]
    found = apply_tiled(module, image, Report(), tile_px=24, overlap_px=4, border_px=8, precision="float32")
    assert torch.allclose(found, expected, atol=1e-6)
    chosen = apply_tiled(
        module, image, Report(), border_px=8, channels=(2, 0), result_dtype=torch.float16, precision="float32"
    )
    assert chosen.dtype == torch.float16
    assert torch.allclose(chosen.float(), expected[[2, 0]], atol=2e-3)


def test_tiles_cover_the_image_once_and_tell_progress() -> None:
    module, image = lively(NETWORKS["U-Net"]()), picture(150, 203)
    fractions: list[float] = []
    count = torch.zeros(image.shape)
    report = Report(on_progress=lambda fraction, _: fractions.append(fraction))
    for part in tiles(module, image, report, tile_px=96, overlap_px=30):
        assert part.values.shape == (1, part.rows.stop - part.rows.start, part.columns.stop - part.columns.start)
        count[part.rows, part.columns] += 1
    assert torch.equal(count, torch.ones_like(count))
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert len(fractions) > 6


def test_cancelling_stops_between_tiles() -> None:
    module, image = lively(NETWORKS["U-Net"]()), picture(300, 300)
    seen: list[object] = []
    report = Report(cancelled=lambda: len(seen) == 2)
    with pytest.raises(Cancelled):
        seen.extend(part for part in _appending(tiles(module, image, report, tile_px=96, overlap_px=32), seen))
    assert len(seen) == 2


def _appending(parts: Iterator[object], seen: list[object]) -> Iterator[object]:
    for part in parts:
        seen.append(part)
        yield from ()


def test_training_mode_and_senseless_tiles_are_refused() -> None:
    module = NETWORKS["U-Net"]()
    with pytest.raises(ValueError, match="training mode"):
        apply_tiled(module, picture(32, 32), Report())
    with pytest.raises(ValueError, match="overlap of 64 px"):
        apply_tiled(module.eval(), picture(32, 32), Report(), tile_px=128, overlap_px=64)
    with pytest.raises(ValueError, match="no pixels"):
        apply_tiled(module.eval(), picture(0, 32), Report())


class Crowded(nn.Module):
    """Takes as much memory as an image of so many pixels would on a card that has no more."""

    stride = 4

    def __init__(self, most_px: int, message: str) -> None:
        super().__init__()
        self.most_px, self.message = most_px, message
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if image.shape[-1] * image.shape[-2] > self.most_px:
            raise RuntimeError(self.message)
        return self.gain * image


def test_tiles_are_halved_where_memory_runs_out() -> None:
    image, report = picture(256, 310), Report()
    crowded = Crowded(100 * 100, "CUDA out of memory. Tried to allocate").eval()
    found = apply_tiled(crowded, image, report, tile_px=512, overlap_px=8, precision="float32")
    assert torch.equal(found[0], 2 * image)
    assert len(report.facts.notes) == 2
    assert "Memory ran out in tiles of 312 px; the image is computed in tiles of 156 px" in report.facts.notes[0]


def test_the_smallest_tile_and_other_errors_are_not_hidden() -> None:
    with pytest.raises(UserError, match="Memory does not hold"):
        apply_tiled(Crowded(100, "out of memory").eval(), picture(256, 256), Report(), overlap_px=8)
    with pytest.raises(RuntimeError, match="no kernel"):
        apply_tiled(Crowded(100, "no kernel for this").eval(), picture(256, 256), Report())


_REAL_LIMIT = """
import resource, sys, torch
from torch import nn
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.tiling import apply_tiled
from atomseg_app.operations import Report
torch.set_num_threads(1)
module = SigmoidUNet((16, 16, 16)).eval()
image = torch.rand(1024, 1024)
apply_tiled(module, image[:64, :64], Report(), precision="float32")
with open("/proc/self/statm") as f:
    used = int(f.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (320 << 20), resource.RLIM_INFINITY))
report = Report()
out = apply_tiled(module, image, report, tile_px=1024, overlap_px=32, precision="float32")
assert torch.isfinite(out).all()
print(report.facts.notes[-1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process's memory as Linux does")
def test_a_process_that_may_take_no_more_memory_goes_on_in_smaller_tiles() -> None:
    done = subprocess.run([sys.executable, "-c", _REAL_LIMIT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Memory ran out in tiles of" in done.stdout


_MEMORY = """
import sys, torch
from atomseg_app.benchmarks.peak_memory import Peak
from atomseg_app.networks.atomsegnet import SigmoidUNet
from atomseg_app.networks.tiling import apply_tiled
from atomseg_app.operations import Report
torch.set_num_threads(1)
tile_px = int(sys.argv[1])
module = SigmoidUNet((4, 4, 4)).eval()
module.last = torch.nn.Sequential(torch.nn.Conv2d(4, 10, 1))
apply_tiled(module, torch.zeros(64, 64), Report())
image = torch.zeros(1536, 1536)
peak = Peak()
result = apply_tiled(module, image, Report(), tile_px=tile_px, overlap_px=32, result_dtype=torch.float16)
print(peak.bytes_above_start() - result.nbytes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux sets the peak back")
def test_memory_beside_the_result_is_that_of_a_tile() -> None:
    """Sixteen tiles that each need an eleventh of the whole; what the allocator keeps between them is left to it."""

    def beyond(tile_px: int) -> float:
        command = [sys.executable, "-c", _MEMORY, str(tile_px)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    whole, tiled = beyond(1536), beyond(448)
    assert tiled < 0.4 * whole


def test_the_precision_depends_on_the_wish_and_the_machine() -> None:
    cpu = torch.device("cpu")
    assert precision_of("float32", cpu) == torch.float32
    assert precision_of("bfloat16", cpu) == torch.bfloat16
    assert precision_of("auto", cpu) in (torch.float32, torch.bfloat16)


def test_the_column_network_gives_the_same_in_tiles_though_its_reach_is_wider() -> None:
    """From beyond the usual overlap comes less than a thousandth of an answer's range; from 192 px nothing."""
    from atomseg_app.networks.columns import ColumnNetwork

    module, image = ColumnNetwork(), picture(600, 410) - 0.5
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.constant_(part.weight, 0.7)  # residual blocks begin as the identity
    lively(module.net.down)
    lively(module.net.up)
    module.eval()
    whole = apply_tiled(module, image, Report(), tile_px=4096, precision="float32")
    extent = whole.amax((1, 2), keepdim=True) - whole.amin((1, 2), keepdim=True)
    usual = apply_tiled(module, image, Report(), tile_px=400, precision="float32")
    assert ((usual - whole).abs() / extent).max() < 1e-3
    exact = apply_tiled(module, image, Report(), tile_px=480, overlap_px=192, precision="float32")
    assert ((exact - whole).abs() / extent).max() < 1e-5
