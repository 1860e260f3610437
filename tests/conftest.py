"""What every test shares: its own AtomSeg home, the test data, seeded randomness, and the marker of window tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/gui opens windows."""
    windows = Path(__file__).parent / "gui"
    for item in items:
        if windows in item.path.parents:
            item.add_marker(pytest.mark.gui)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured text that is no Unicode (odd file names) would end a parallel run when its report is sent."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def atomseg_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder for settings, logs, recovery and cache, so that no test sees the user's or another's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ATOMSEG_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of the real micrographs and format samples; skips where it is absent."""
    name = os.environ.get("ATOMSEG_TEST_DATA")
    if not name:
        pytest.skip("real files are missing: ATOMSEG_TEST_DATA names no folder")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip(f"real files are missing: ATOMSEG_TEST_DATA={folder} is no folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(20240521)
