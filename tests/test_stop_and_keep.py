"""Ctrl-C while a series is worked on: once keeps what there is, twice cancels, and never leaves half a file."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.cli import main
from atomseg_app.commands.long_work import interruptible
from atomseg_app.io.files import read

TILTS = np.linspace(-60, 60, 9)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with a.npy, the views of a ball, and angles.txt."""
    monkeypatch.chdir(tmp_path)
    y, x = np.meshgrid(np.arange(64) - 31.5, np.arange(64) - 31.5, indexing="ij")
    np.save("a.npy", np.repeat(2 * np.sqrt(np.maximum(400 - x**2 - y**2, 0))[None], len(TILTS), 0).astype(np.float32))
    Path("angles.txt").write_text("\n".join(map(str, TILTS)), "ascii")
    return tmp_path


def reconstruct(*options: str) -> int:
    return main(["reconstruct", "a.npy", "--angles", "angles.txt", "-o", "out.mrc", *options])


def pressed(times: int, after_s: float) -> threading.Thread:
    """Ctrl-C so many times, each a while after the last one."""
    waiting = threading.Event()

    def press() -> None:
        for _ in range(times):
            waiting.wait(after_s)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_the_first_ctrl_c_keeps_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reconstruct("--iterations", "1") == 0  # kernels are there
    thread = pressed(1, 1.0)
    assert reconstruct("--iterations", "10000", "--overwrite") == 0
    thread.join()
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "out.mrc"
    assert "Ctrl-C again cancels" in said.err
    step = json.loads(Path("out.json").read_text("utf-8"))["history"][-1]
    (note,) = [note for note in step["notes"] if note.startswith("Stopped after")]
    assert 0 < int(note.split()[2]) < 10000
    assert read("out.mrc").values.max() > 0.5


def test_the_second_cancels_and_a_third_ends_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with interruptible(keeps=True) as report:
        signal.raise_signal(signal.SIGINT)
        assert report.stopping
        assert not report.cancelled
        signal.raise_signal(signal.SIGINT)
        assert report.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_what_cannot_end_early_is_cancelled_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    for number, keeps in ((signal.SIGINT, False), (signal.SIGTERM, True)):
        with interruptible(keeps=keeps) as report:
            signal.raise_signal(number)
            assert report.cancelled
            assert not report.stopping
