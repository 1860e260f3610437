"""SIRT on a CUDA device: voxel-view updates a second, share of the memory's bandwidth, agreement with the CPU."""

from __future__ import annotations

import time

import numpy as np

from atomseg_app.benchmarks.table import print_table
from atomseg_app.benchmarks.verdicts import Bar, at_least, at_most

_SIZE, _VIEWS, _ITERATIONS, _SMALL = 512, 140, 10, 96
_TITLE = f"""SIRT of {_SIZE}^3 voxels from {_VIEWS} views on the GPU, {_ITERATIONS} iterations without transfers.
Updates are voxels times views, forward and back counted; bandwidth counts what an iteration has to read and write at
least (volume and views twice each way) against a copy of the volume. Difference: of {_SMALL}^3 against the CPU, of the
largest value."""


def gpu() -> list[Bar]:
    """Print the table where there is a CUDA device; one line, and no bar, where there is none."""
    import torch

    if not torch.cuda.is_available():
        print_table("SIRT on a GPU: no CUDA device here.", ["updates a second"], [["not measured"]])
        return []
    from atomseg_app.operations import Report
    from atomseg_app.tomography.device_iterations import cuda_projector, device_parts
    from atomseg_app.tomography.geometry import Geometry
    from atomseg_app.tomography.operations import Reconstruct
    from atomseg_app.tomography.projector import projector

    tilts = tuple(np.linspace(-70, 69, _VIEWS))
    small = Geometry(tilts, (_SMALL, _SMALL), (_SMALL,) * 3)
    sample = np.random.default_rng(0).random(small.volume_zyx, np.float32)
    on_cpu = projector(small)(sample)
    found = cuda_projector(small, Report())
    seen = found.forward(torch.from_numpy(sample).permute(0, 2, 1).contiguous().cuda()).permute(0, 2, 1).cpu().numpy()
    difference = float(np.abs(seen - on_cpu).max() / on_cpu.max())
    geometry = Geometry(tilts, (_SIZE, _SIZE), (_SIZE,) * 3)
    views = np.random.default_rng(1).random((_VIEWS, _SIZE, _SIZE), np.float32)
    settings = Reconstruct(algorithm="sirt")
    step = device_parts(views, geometry, settings, cuda_projector(geometry, Report()), None, 0).steps[0]
    next(step)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(_ITERATIONS):
        next(step)
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / _ITERATIONS
    updates = 2 * _SIZE**3 * _VIEWS / seconds
    moved = 4 * 4 * (_SIZE**3 + views.size) / seconds
    row = [torch.cuda.get_device_name(), updates / 1e9, 100 * moved / _bandwidth(), difference]
    print_table(_TITLE, ["device", "10^9 updates a second", "% of bandwidth", "difference"], [row])
    return [
        at_least("10^9 voxel-view updates a second on the GPU", 100, updates / 1e9),
        at_most("difference between GPU and CPU", 1e-4, difference),
    ]


def _bandwidth() -> float:
    """Bytes a second that a copy in the device's memory reads and writes."""
    import torch

    source = torch.zeros(_SIZE**3, device="cuda")
    target = torch.empty_like(source)
    target.copy_(source)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(10):
        target.copy_(source)
    torch.cuda.synchronize()
    return 20 * source.numel() * 4 / (time.perf_counter() - began)
