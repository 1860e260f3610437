"""Imports run one way, and the contracts that say so really catch an import that does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
LINT = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_contracts_hold() -> None:
    done = lint(CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("data.py", "import atomseg_app.atoms.candidates", "imports run one way"),
        ("io/__init__.py", "import PySide6.QtGui", "Qt and the viewers stay in the window"),
        ("gui/__init__.py", "import torch", "the window never imports torch"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path: Path, module: str, statement: str, contract: str) -> None:
    shutil.copytree(CHECKOUT / "atomseg_app", tmp_path / "atomseg_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    with (tmp_path / "atomseg_app" / module).open("a", encoding="utf-8") as source:
        source.write(f"\n{statement}\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(contract in line for line in broken), done.stdout
