"""The ASTRA toolbox beside this program, in whichever environment has it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from atomseg_app.benchmarks.verdicts import Spent
from atomseg_app.simulate.ellipsoids import Floats


def astra_sirt(views: Floats, tilt_deg: tuple[float, ...], iterations: int) -> tuple[Floats, Spent] | None:
    """Volume (z, y, x) that ASTRA's SIRT makes of views (view, y, x), and its seconds; None where it is absent."""
    python = os.environ.get("ATOMSEG_PEER_PYTHON") or (sys.executable if find_spec("astra") else None)
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, views=views, tilt_deg=np.array(tilt_deg), iterations=np.array(iterations))
        script = Path(__file__).with_name("peer_astra.py")
        done = subprocess.run([python, str(script), str(given), str(result)], check=False, capture_output=True)
        if done.returncode:
            return None
        with np.load(result, allow_pickle=False) as out:
            return out["volume"], Spent(float(out["seconds"]), float(out["cpu_seconds"]))
