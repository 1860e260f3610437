"""Speed and memory of segmenting a volume, ours and MONAI's sliding window with the same network, each by itself.

2.5D networks answer slices: the same slices with their neighbours go to MONAI as a batch of images.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

from atomseg_app.benchmarks.table import cores, print_table
from atomseg_app.benchmarks.verdicts import Bar, at_most

_SIZE = 256
_OVERLAP = 0.25
_CODE = """
import json, time
import numpy as np, torch
from atomseg_app.benchmarks.peak_memory import Peak, highest_bytes
from atomseg_app.data import Volume
from atomseg_app.operations import Report
from atomseg_app.segmentation.dataset import AXES
from atomseg_app.segmentation.grey import GreyRange
from atomseg_app.segmentation.operations import Segment
from atomseg_app.segmentation.predict import load_network, predict
from atomseg_app.segmentation.sampling import slice_indices

torch.set_num_threads({threads})
who, model, size = {who!r}, {model!r}, {size}
report = Report()
values = np.random.default_rng(0).normal(60, 20, (size, size, size)).clip(0, 255).astype(np.uint8)
network = load_network(model, "cpu", report)

def ours(part):
    return predict(Volume(part), Segment(model=model, device="cpu"), report).labels.values

def theirs(part, half):
    from monai.inferers import sliding_window_inference
    from atomseg_app.networks.store import load_model
    module, card = load_model(model)  # the weights as they are saved, norms and all
    axis = AXES.index(network.axis)
    shown = GreyRange.of(part).apply(np.moveaxis(part, axis, 0))
    stack = np.stack([shown[slice_indices(i, card.input.channels, len(shown))] for i in range(len(shown))])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        answer = sliding_window_inference(torch.from_numpy(stack), ({patch}, {patch}), 4, module, overlap={overlap})
        return np.moveaxis(torch.softmax(answer.float(), 1).argmax(1).to(torch.uint8).numpy(), 0, axis)

run = ours if who == "ours" else lambda part: theirs(part, who.endswith("bfloat16"))
run(values[:32, :32, :32].copy())
peak = Peak()
wall, cpu = time.perf_counter(), time.process_time()
found = run(values)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
more, highest = peak.bytes_above_start(), highest_bytes()
table = np.array([each.value for each in network.classes], np.uint8)
found = found if who == "ours" else table[found]
shares = np.bincount(found.ravel(), minlength=3).tolist()
print(json.dumps(dict(cpu=cpu, wall=wall, peak=highest, more=more, shares=shares)))
"""
_TITLE = f"""Segmenting a volume of {_SIZE}^3 voxels by {{model!r}} on {{threads}} cores: seconds of processors,
peak memory of the whole process. MONAI {{version}}, sliding window: the same weights, patches of
{_SIZE} px, overlap {_OVERLAP:g}, in bfloat16, as ours where the processor has it, and in float32."""


def speed(model: str = "catalyst") -> list[Bar]:
    """Print the table; gives the bars, none where MONAI is not installed."""
    if importlib.util.find_spec("monai") is None:
        print_table("Segmenting against MONAI", ["needs"], [["MONAI is not installed (atomseg-app[dev])."]])
        return []
    found = {who: _measured(who, model) for who in ("ours", "MONAI, bfloat16", "MONAI, float32")}
    rows: list[list[object]] = [
        [
            who,
            each["cpu"],
            each["wall"],
            each["peak"] / 2**20,
            each["more"] / 2**20,
            "/".join(str(n) for n in each["shares"]),
        ]
        for who, each in found.items()
    ]
    title = _TITLE.format(model=model, threads=cores(), version=_version())
    print_table(
        title,
        ["who", "s of processors", "s on the clock", "peak MiB", "beyond what it had before", "voxels of each class"],
        rows,
    )
    ours, theirs = found["ours"], found["MONAI, bfloat16"]
    return [
        at_most("256^3 predicted: time against MONAI", 1.0, ours["cpu"] / theirs["cpu"], "times"),
        at_most("256^3 predicted: memory against MONAI", 1.0, ours["peak"] / theirs["peak"], "times"),
    ]


def _measured(who: str, model: str) -> dict[str, Any]:
    """Seconds, bytes and shares of classes of a run in a process of its own."""
    code = _CODE.format(who=who, model=model, size=_SIZE, patch=_SIZE, overlap=_OVERLAP, threads=cores())
    quiet = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(cores())}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, env=quiet
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _version() -> str:
    from importlib.metadata import version

    return version("monai")
