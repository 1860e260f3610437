"""``atomseg bench window``: its figures, its verdict, and what it does with a window that does not start."""

import subprocess
import sys

import pytest

from atomseg_app.benchmarks import window
from atomseg_app.errors import UserError

GOOD_START = {"first_frame_s": 1.0, "first_frame_processor_s": 0.8, "torch_imported": False, "heavy_modules": []}
GOOD_PROBE = {
    **GOOD_START, "stalls_s": [0.02, 0.3, 0.03], "cancel_s": [0.1, 0.2, 0.3], "kill_to_next_s": [2, 3, 4],
    "brush_s": [0.004, 0.02, 0.005], "ball_s": [0.01, 0.02, 0.03],
    "brush_processor_s": [0.004, 0.01, 0.005], "ball_processor_s": [0.01, 0.02, 0.02],
    "building": {"first opening of a tab": [[0.02, 0.01], [0.3, 0.02], [0.03, 0.01]]},
    "answers": {"opening a tilt series": [[0.05, 0.04]]},
}  # fmt: skip


def test_figures_are_medians():
    found = window.figures([{**GOOD_START, "first_frame_s": seconds} for seconds in (9.0, 1.0, 2.0)], GOOD_PROBE)
    assert [figure.median_s for figure in found] == [2.0, 0.03, 0.2, 0.005, 0.02, 3, 0.03, 0.05]
    assert all(figure.reached for figure in found)


@pytest.mark.parametrize(
    ("start", "probe", "code"),
    [
        ({}, {}, 0),
        ({"first_frame_s": 2.6}, {}, 1),
        ({"heavy_modules": ["torch"]}, {}, 1),
        ({}, {"heavy_modules": ["scipy"]}, 1),
        ({}, {"stalls_s": [0.11]}, 1),
        ({}, {"cancel_s": [2.1]}, 1),
        ({}, {"brush_s": [0.017]}, 1),
        ({}, {"ball_s": [0.034]}, 1),
        ({}, {"answers": {"opening a tilt series": [[0.11, 0.01]]}}, 1),
        ({}, {"building": {"first opening of a tab": [[0.2, 0.01]]}}, 1),
    ],
)
def test_the_verdict(monkeypatch, capsys, start, probe, code):
    def check(*options, home, limit_s=0):
        return {**GOOD_PROBE, **probe} if "--probe" in options else {**GOOD_START, **start}

    monkeypatch.setattr(window, "check_window", check)
    assert window.run() == code
    printed = capsys.readouterr().out
    assert "first frame, warm" in printed
    assert "no answer: first opening of a tab" in printed
    assert ("neither torch" in printed) is not bool(start.get("heavy_modules") or probe.get("heavy_modules"))


def test_a_window_that_does_not_start_is_told(monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "no display here\n")
    monkeypatch.setattr(window.subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(UserError, match=r"did not start \(exit code 1\): no display here"):
        window.check_window(home=tmp_path)


def test_the_benchmark_imports_no_qt():
    code = "import sys, atomseg_app.benchmarks.window; sys.exit('PySide6' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
