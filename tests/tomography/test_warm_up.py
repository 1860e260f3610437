"""Kernels are compiled once, in a thread beside jobs, and a job that needs them says why it waits."""

from __future__ import annotations

import subprocess
import sys
import textwrap

CODE = """
    import threading
    import numpy as np
    from atomseg_app import operations
    from atomseg_app.data import TiltSeries
    from atomseg_app.operations import Report
    from atomseg_app.tomography import warm_up

    began, seen = threading.Event(), threading.Event()
    turned = warm_up._turned
    def slow():
        began.set()
        seen.wait(60)
        turned()
    warm_up._turned = slow
    thread = warm_up.warm_up_beside()
    began.wait()
    said = []
    tilts = tuple(np.arange(-60.0, 61, 20))
    views = np.random.default_rng(0).random((7, 9, 12), np.float32)
    operation = operations.get("reconstruct")
    series = TiltSeries(views, tilt_deg=tilts)
    def told(done, text):
        said.append(text)
        if "waiting for kernels" in text:
            seen.set()
    report = Report(on_progress=told)
    operations.run(operation, (series,), operation.parse({"iterations": 1}), report)
    assert any("waiting for kernels" in text for text in said), said
    assert not any("loading kernels" in text for text in said)
    assert warm_up.is_warm() and not thread.is_alive()
    said.clear()
    operations.run(operation, (series,), operation.parse({"iterations": 1}), report)
    assert not any("kernels" in text for text in said)
    from atomseg_app.rays import kernels
    from atomseg_app.tomography import any_axis, edges, turned, warp
    def compiled():
        return [len(f.signatures) for m in (kernels, any_axis, edges, turned, warp) for f in vars(m).values()
                if hasattr(f, "signatures")]
    before = compiled()
    from dataclasses import replace
    from atomseg_app.alignment import Alignment
    many = TiltSeries(np.random.default_rng(0).random((7, 40, 12), np.float32), tilt_deg=tilts)
    moved = replace(many, alignment=Alignment((1.0,) * 7, (0.5,) * 7, (0.0,) * 7, 0.0, 2.0))
    euler = replace(many, euler_deg=tuple((1.0, tilt, 2.0) for tilt in tilts))
    for name in ("mlem", "osem", "sirt", "tv", "fbp"):
        for one in (series, many, moved, euler):
            if name != "fbp" or one is not euler:
                operations.run(operation, (one,), operation.parse({"algorithm": name, "iterations": 2}), Report())
    assert compiled() == before, "a job compiled what the warm-up had left out"
"""


def test_a_job_waits_for_the_kernels_with_a_word_and_compiles_none_itself() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(CODE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
