"""``main.py`` before anything is installed: which door it opens, and what it says where it cannot."""

from __future__ import annotations

import ast
import json
import os
import runpy
import shutil
import subprocess
import sys

import pytest

from atomseg_app import __version__, doctor
from atomseg_app import start as starting
from tests.packaging.conftest import CHECKOUT, Start


@pytest.mark.parametrize(
    ("arguments", "window"),
    [
        ([], True),
        (["window-check"], True),
        (["image.dm3"], True),
        (["/data/a b/é.tif", "other.png"], True),
        (["./info"], True),
        (["--open", "image.dm3"], True),
        (["--open=image.dm3"], True),
        (["--safe-mode"], True),
        (["--reset-settings"], True),
        (["find-columns", "image.dm3"], False),
        (["info", "image.dm3"], False),
        (["doctor"], False),
        (["--help"], False),
        (["--install-completion"], False),
    ],
)
def test_which_door(arguments: list[str], window: bool) -> None:
    assert starting.opens_window(arguments) is window


@pytest.mark.parametrize(
    ("variables", "system", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"QT_QPA_PLATFORM": "offscreen"}, "linux", True),
        ({"QT_QPA_PLATFORM": "minimal:enable_fonts"}, "linux", True),
        ({"QT_QPA_PLATFORM": "xcb"}, "linux", False),
        ({"QT_QPA_PLATFORM": "wayland;xcb"}, "linux", False),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_is_there_a_display(variables: dict[str, str], system: str, there: bool) -> None:
    assert starting.has_display(variables, system) is there


@pytest.mark.parametrize("arguments", [[], ["window-check"], ["image.dm3"], ["--safe-mode"]])
def test_without_a_display_it_points_to_the_commands(start: Start, arguments: list[str]) -> None:
    done = start(*arguments)
    assert done.returncode == 2
    assert "find-columns" in done.stderr
    assert "AtomSeg sets up" not in done.stderr, "nobody should wait minutes for this answer"


def test_version_and_help_need_no_environment(start: Start) -> None:
    assert start("--version").stdout == f"AtomSeg {__version__}\n"
    for variable in ("ATOMSEG_TORCH_INDEX", "ATOMSEG_REQUIREMENTS", "ATOMSEG_HOME", "--no-setup"):
        assert variable in start("--help").stdout


def test_no_setup_forbids_the_set_up(start: Start, checkout: os.PathLike[str]) -> None:
    done = start("--no-setup", "doctor")
    assert done.returncode == 1
    assert "--no-setup forbids it" in done.stderr
    assert not os.path.exists(os.path.join(checkout, ".venv.partial"))


def test_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = (CHECKOUT / "main.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 6))
    main = runpy.run_path(str(CHECKOUT / "main.py"))["main"]
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert main(["doctor"]) == 1
    assert "AtomSeg needs Python 3.11 or newer" in capsys.readouterr().err


def test_a_python_that_has_everything_is_used_as_it_is(start: Start) -> None:
    """The one that runs these tests has every pin, so that nothing is set up; and no stray module of the user's."""
    done = start("--info", ATOMSEG_REQUIREMENTS="")
    assert done.returncode == 0, done.stderr
    assert sys.executable in done.stdout
    assert done.stderr == ""


def test_modules_in_the_users_folder_are_not_imported(
    checkout: os.PathLike[str], surroundings: dict[str, str], tmp_path: object
) -> None:
    """A folder of data may hold numpy.py or a ``packaging`` folder; neither may get into the program."""
    folder = os.path.join(str(tmp_path), "my scripts")
    os.mkdir(folder)
    for name in ("numpy.py", "platformdirs.py", "pydantic.py", "logging.py"):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as source:
            source.write("raise SystemExit('the user\\'s own module was imported')\n")
    done = subprocess.run(
        [sys.executable, os.path.join(checkout, "main.py"), "--info"],
        cwd=folder,
        env={**surroundings, "ATOMSEG_REQUIREMENTS": "", "PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_doctor_finds_this_environment_sound() -> None:
    facts = doctor.collect()
    assert facts["problems"] == []
    assert facts["Torch"]["devices"]["cpu"].startswith("works")
    assert json.loads(json.dumps(facts)) == facts
    report = doctor.text(facts)
    assert f"version: {__version__}" in report
    assert "No problems found." in report
    if facts["Torch"]["built for"] == "CPU" and sys.platform != "darwin":
        assert "ATOMSEG_TORCH_INDEX" in report


def test_doctor_reports_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = os.path.join(str(tmp_path), "file")
    open(in_the_way, "w").close()
    monkeypatch.setenv("ATOMSEG_HOME", in_the_way)
    assert doctor.main() == 1
    assert "ATOMSEG_HOME names another place" in capsys.readouterr().out


def test_the_windows_part_of_doctor_imports_nothing_heavy() -> None:
    code = (
        "import sys; from atomseg_app import doctor; doctor.text(doctor.collect(with_torch=False)); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "skimage", "h5py", "rsciio", "numpy", "PySide6"} & set(done.stdout.split())


@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("ldd"), reason="needs Linux with ldd")
def test_missing_system_library_names_its_package(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform plugin beside which a library of Qt is missing: what the loader says becomes an advice."""
    library = os.path.join(str(tmp_path), "libqxcb.so")
    with open("/bin/true", "rb") as program:
        content = program.read()
    needed = b"libc.so.6\0"
    assert needed in content
    with open(library, "wb") as plugin:
        plugin.write(content.replace(needed, b"libX9.so\0\0"))
    assert doctor._unresolved(doctor.Path(library)) == ["libX9.so"]
