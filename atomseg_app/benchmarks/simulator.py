"""How fast pictures are simulated with their labels: ``atomseg bench simulator``.

Every process is a fresh one that has prepared its crystals and made a batch before the clock starts, so that what is
measured is what a long run gets: pictures as ``atomseg simulate`` hands them out, with truth and all label images.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from atomseg_app.benchmarks.table import cores, print_table

LEAST_PER_S = 40.0
"""Pictures of 256 x 256 a second that two cores must give, by threads or by processes."""

_SCRIPT = """
import json, sys, time
from dataclasses import replace
import torch
from atomseg_app.operations import Report
from atomseg_app.simulate.pictures import simulate_pictures
from atomseg_app.simulate.preset import TRAINING
size, count, seed, threads, device = json.loads(sys.argv[1])
torch.set_num_threads(threads)
preset = replace(TRAINING, size_px=size)
def make(number, seed):
    return sum(len(picture.labels) for picture in simulate_pictures(
        preset, number, seed, torch.device(device), Report()))
make(8, seed + 1000)
print("ready", flush=True)
sys.stdin.readline()
begun = time.process_time()
labels = make(count, seed)
print(json.dumps([time.process_time() - begun, labels]), flush=True)
"""


@dataclass(frozen=True)
class Rate:
    """Pictures with labels a second of wall time and a second of processor time; label images a picture."""

    per_s: float
    per_processor_s: float
    labels: int


def rate(size_px: int, count: int, *, processes: int = 1, threads: int = 1, device: str = "cpu") -> Rate:
    """Rate of simulating ``count`` pictures in each of some processes at once, with so many threads each.

    Raises RuntimeError with a process's words if it fails.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "OMP_NUM_THREADS": str(threads)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, json.dumps([size_px, count, seed, threads, device])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for seed in range(processes)
    ]  # fmt: skip
    try:
        for worker in workers:
            if _line(worker) != "ready":
                raise RuntimeError(_words(worker))
        begun = time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        told = [_line(worker) or _words(worker) for worker in workers]
        wall_s = time.perf_counter() - begun
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    try:
        answers = [json.loads(line) for line in told]
    except ValueError as error:
        raise RuntimeError(" ".join(told)) from error
    made, processor_s = count * processes, sum(float(answer[0]) for answer in answers)
    return Rate(made / wall_s, made / processor_s, sum(int(answer[1]) for answer in answers) // made)


def run(size_px: int = 256, count: int = 160) -> bool:
    """Print the table; True if two cores give fewer than :data:`LEAST_PER_S` pictures of 256 x 256 a second."""
    ways = [(1, 1, "cpu"), (1, 2, "cpu"), (2, 1, "cpu"), *([(1, 1, "cuda")] if _has_cuda() else [])]
    rows: list[Sequence[object]] = []
    best = 0.0
    for processes, threads, device in ways:
        measured = rate(size_px, count, processes=processes, threads=threads, device=device)
        rows.append(
            [device, processes, threads, count * processes, measured.labels, measured.per_s, measured.per_processor_s]
        )
        if device == "cpu" and processes * threads == 2:
            best = max(best, measured.per_s)
    print_table(
        f"Simulated pictures of {size_px} x {size_px} pixels with truth and labels, preset default; "
        f"at least {LEAST_PER_S:g} a second are asked of two cores.",
        ["device", "processes", "threads each", "pictures", "labels each", "pictures / s", "pictures / processor s"],
        rows,
    )
    return size_px == 256 and cores() > 1 and best < LEAST_PER_S


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _line(worker: subprocess.Popen[str]) -> str:
    """The next line that a process prints; empty when it has ended."""
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def _words(worker: subprocess.Popen[str]) -> str:
    """What a process that ended early said last."""
    assert worker.stderr is not None
    return f"Simulating pictures failed: {worker.stderr.read().strip()[-500:]}"
