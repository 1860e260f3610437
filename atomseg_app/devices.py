"""Which device computes: CUDA, then MPS, then CPU; said aloud where the choice differs from the wish."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from atomseg_app.errors import UserError
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import torch


def choose(wish: str, report: Report) -> torch.device:
    """Device for a wish of ``auto``, ``cpu``, ``cuda`` or ``mps``. Raises UserError if a named one is not there."""
    import torch  # heavy, and absent from the window's process

    present = ["cpu"]
    if torch.backends.mps.is_available():
        present.insert(0, "mps")
    if torch.cuda.is_available() and _cuda_works(report):
        present.insert(0, "cuda")
    if wish != "auto" and wish not in present:
        raise UserError(
            f"Device {wish!r} cannot be used here (usable: {', '.join(present)}); choose one of them or 'auto', "
            "and see 'atomseg doctor'."
        )
    name = present[0] if wish == "auto" else wish
    if name == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, os.cpu_count() or 1))
    report.facts.device = torch.cuda.get_device_name() if name == "cuda" else name
    return torch.device(name)


def _cuda_works(report: Report) -> bool:
    """Run one kernel: a card too old for this build of torch is listed but cannot compute."""
    import torch

    try:
        return bool((torch.ones(8, device="cuda") * 2).sum().item() == 16)
    except RuntimeError as problem:
        report.note(f"The GPU cannot be used by this build of torch ({problem}); computing on the CPU.")
        return False
