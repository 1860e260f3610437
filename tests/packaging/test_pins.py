"""The pins are whole: all that pyproject asks for, all that those need, and what these tests run with."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.conftest import CHECKOUT

LEFT_TO_PIP = {"setuptools"}


def pins(*names: str) -> dict[str, Version]:
    """Pinned version by canonical name."""
    found: dict[str, Version] = {}
    for name in names:
        for line in (CHECKOUT / "packaging" / name).read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                package, _, version = line.partition("==")
                assert canonicalize_name(package) not in found, f"{package} is pinned twice"
                found[canonicalize_name(package)] = Version(version)
    return found


def project() -> dict[str, list[str]]:
    table = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"core": table["dependencies"], **table["optional-dependencies"]}


@pytest.mark.parametrize(
    ("groups", "files"),
    [(("core", "gui"), ("requirements.txt",)), (("dev",), ("requirements.txt", "requirements-test.txt"))],
)
def test_every_dependency_of_the_project_is_pinned_within_its_bounds(
    groups: tuple[str, ...], files: tuple[str, ...]
) -> None:
    pinned = pins(*files)
    for text in (text for group in groups for text in project()[group]):
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate():
            assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, text


@pytest.mark.parametrize("files", [("requirements.txt",), ("requirements.txt", "requirements-test.txt")])
def test_what_the_pinned_packages_need_is_pinned_too(files: tuple[str, ...]) -> None:
    pinned = pins(*files)
    for name in pinned:
        for text in importlib.metadata.requires(name) or []:
            wanted = Requirement(text)
            if (wanted.marker is None or wanted.marker.evaluate({"extra": ""})) and wanted.name not in LEFT_TO_PIP:
                # Builds of torch for CUDA name the parts of CUDA, each build its own.
                if name == "torch" and wanted.name.startswith(("nvidia", "cuda", "triton")):
                    continue
                assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, f"{name} needs {text}"


def test_these_tests_run_with_the_pins() -> None:
    for name, version in pins("requirements.txt", "requirements-test.txt").items():
        assert Version(importlib.metadata.version(name)).public == version.public, name


def test_the_folder_packaging_does_not_hide_the_package() -> None:
    import packaging

    assert Path(packaging.__file__ or "").parent != CHECKOUT / "packaging"
    assert not (CHECKOUT / "packaging" / "__init__.py").exists()
