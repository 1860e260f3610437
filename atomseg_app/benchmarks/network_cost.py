"""Time and memory of a pass of each network over one image: part of ``atomseg bench networks``.

Every network runs in a warm process of its own, so that one's memory is not another's; weights are random, because
cost does not depend on them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from atomseg_app.benchmarks.table import cores, print_table

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "AtomSeg": ("atomseg-columns", {}),
    "AtomSegNet's U-Net": ("atomsegnet-unet", {}),
    "AtomSegNet's U-Net++": ("atomsegnet-unetpp", {}),
}
"""Architecture and options by the name in the table."""

_SCRIPT = """
import json, resource, sys, time
import torch
from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.tiling import apply_tiled
from atomseg_app.operations import Report
name, options, size, way, repeats, device = json.loads(sys.argv[1])
module = make_network(name, options).eval().to(device=device, memory_format=torch.channels_last)
image = torch.rand(size, size, device=device)
published = way == "published"  # the whole image at once, in float32, as its program computes it
settings = {"tile_px": max(1024, size)} if published or way == "whole" else {}
settings["precision"] = "float32" if published else "auto"
if published:
    module = module.to(memory_format=torch.contiguous_format)
sync = torch.cuda.synchronize if device == "cuda" else lambda: None
apply_tiled(module, image[:256, :256], Report(), **settings)
sync()
def peak_bytes():
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
def idle_bytes():
    if device == "cuda":
        return torch.cuda.memory_allocated()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
if device == "cuda":
    torch.cuda.reset_peak_memory_stats()
else:
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")  # begins the peak anew
idle = idle_bytes()
wall, cpu = [], []
for _ in range(repeats):
    w, c = time.perf_counter(), time.process_time()
    result = apply_tiled(module, image, Report(), **settings)
    sync()
    wall.append(time.perf_counter() - w)
    cpu.append(time.process_time() - c)
print(json.dumps([sorted(wall)[repeats // 2], sorted(cpu)[repeats // 2], peak_bytes() - idle,
                  sum(p.numel() for p in module.parameters())]))
"""


@dataclass(frozen=True)
class Cost:
    """Of one pass: median wall and processor seconds, peak bytes above idle; and the network's parameters."""

    wall_s: float
    cpu_s: float
    extra_bytes: int
    parameters: int


def cost(
    architecture: str, options: dict[str, Any], size_px: int, *, way: str = "tiles", repeats: int = 3,
    device: str = "cpu",
) -> Cost:  # fmt: skip
    """Cost of a network over an image of size_px x size_px in a process of its own.

    ``way``: "tiles" as the program computes; "whole" in one tile; "published" in one tile, float32, channels first.
    Memory on the CPU is read as Linux tells it. Raises RuntimeError with the process's words if it fails.
    """
    arguments = json.dumps([architecture, options, size_px, way, repeats, device])
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{architecture}, {size_px} px: {done.stderr.strip()[-500:]}")
    wall, cpu, extra, parameters = json.loads(done.stdout.strip().splitlines()[-1])
    return Cost(float(wall), float(cpu), int(extra), int(parameters))


def run(size_px: int = 1024) -> bool:
    """Print the table of one pass, and of ours over 4096 x 4096; True if ours takes over 1.5 s, 1 GB or 1.5 GB."""
    rows, failed = [], False
    for title, (architecture, options) in NETWORKS.items():
        ours = title == "AtomSeg"
        measured = cost(architecture, options, size_px, way="tiles" if ours else "published", repeats=5 if ours else 1)
        rows.append(_row(title, size_px, measured))
        failed |= ours and (measured.wall_s > 1.5 or measured.extra_bytes > 1e9)
    architecture, options = NETWORKS["AtomSeg"]
    large = cost(architecture, options, 4 * size_px, repeats=1)
    rows.append(_row("AtomSeg", 4 * size_px, large))
    failed |= large.extra_bytes > 1.5e9
    print_table(
        f"One pass of each network on {cores()} cores; AtomSegNet's as published: whole image, float32.",
        ["network", "size (px)", "parameters (million)", "wall (s)", "processor (s)", "memory above idle (GB)"],
        rows,
    )
    return failed


def _row(title: str, size_px: int, measured: Cost) -> list[object]:
    return [
        title, size_px, measured.parameters / 1e6, measured.wall_s, measured.cpu_s, measured.extra_bytes / 1e9,
    ]  # fmt: skip
