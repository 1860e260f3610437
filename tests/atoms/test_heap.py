"""Memory kept for the next image, and given back."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.atoms import heap


def resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return float(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is dropped"
)
def test_dropped_memory_is_kept_inside_and_given_back_afterwards() -> None:
    before = resident_mib()
    with heap.kept():
        images = [np.ones(2**20, np.float32) for _ in range(64)]
        last = np.ones(2**14, np.float32)  # above the others, so that the pool cannot simply shrink
        assert resident_mib() - before > 200
        images.clear()
        inside = resident_mib()
    after = resident_mib()
    assert inside - before > 200
    assert after - before < 40
    assert last.sum() == 2**14


def test_an_error_inside_comes_out() -> None:
    with pytest.raises(KeyError), heap.kept():
        raise KeyError("x")
