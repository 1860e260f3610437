"""Every check of the project in one command: ``python3 packaging/run_tests.py [PYTEST ARGUMENTS]``.

Sets up the program's environment with the test packages (and, as root on Debian or Ubuntu, the system packages that a
virtual display needs), runs each tier to its end, and closes with one line of counts. Exit code 1 if anything failed.
"""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import environment
from installer import SetupError

CHECKOUT = environment.CHECKOUT
SYSTEM_PACKAGES = (
    "xvfb xauth libegl1 libgl1 libglx-mesa0 libgl1-mesa-dri libopengl0 libxkbcommon-x11-0 libx11-xcb1 libxcb-cursor0 "
    "libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-sync1 "
    "libxcb-xfixes0 libxcb-xkb1 libfontconfig1 libfreetype6 libglib2.0-0 libdbus-1-3 fonts-dejavu-core "
    "desktop-file-utils"
)
LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"


def main(arguments: list[str]) -> int:
    """Set up, run every tier, print the counts; returns an exit code."""
    install_system_packages()
    try:
        python = environment.ensure((environment.APP_PINS, environment.TEST_PINS))
    except SetupError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    broken = [
        name
        for name, command in {
            "ruff check": ["ruff", "check", "."],
            "ruff format": ["ruff", "format", "--check", "."],
            "mypy": ["mypy"],
        }.items()
        if not run_tier(name, [python, "-m", *command])
    ]
    if not run_tier("import-linter", [python, "-c", LINT_IMPORTS]):
        broken.append("import-linter")
    counts: collections.Counter[str] = collections.Counter()
    skips: collections.Counter[str] = collections.Counter()
    pytest = [python, "-m", "pytest", "-q", *arguments]
    tiers = {
        "tests": (
            ["--ignore=tests/gui", "-m", "not gui", "-n", "2"],
            [],
            {"QT_QPA_PLATFORM": "offscreen", **threads(2)},
        ),
        "window tests": (["-m", "gui"], *display()),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (selection, wrapper, variables) in tiers.items():
            report, second = Path(folder) / f"{name}.xml", Path(folder) / f"{name} again.xml"
            command = [*wrapper, *pytest, *selection]
            passed = run_tier(name, [*command, f"--junitxml={report}"], variables, fine=(0, 5))
            if not passed:  # a busy machine breaks a time limit now and then; what fails twice is broken
                again = [*command, "--last-failed", "--last-failed-no-failures=none", "-n", "0"]
                passed = run_tier(f"{name} that failed", [*again, f"--junitxml={second}"], variables)
            tally(report, second, passed, counts, skips)
    return conclude(broken, counts, skips)


def install_system_packages() -> None:
    """Install what Qt, Mesa and Xvfb need, as root on Debian and Ubuntu; elsewhere say what to install."""
    if not shutil.which("dpkg-query"):
        return
    listing = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    present = {line.split()[0].removesuffix("t64") for line in listing if line.endswith(" installed")}
    missing = [name for name in SYSTEM_PACKAGES.split() if name not in present]
    if not missing:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.stderr.write(f"The window tests need system packages: sudo apt install {' '.join(missing)}\n")
        return
    surroundings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *command], check=True, env=surroundings, stdin=subprocess.DEVNULL)


def threads(processes: int) -> dict[str, str]:
    """Variables that share the cores among processes which run at once."""
    share = str(max(1, (os.cpu_count() or 1) // processes))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), share)


def display() -> tuple[list[str], dict[str, str]]:
    """Command prefix and variables that give the window tests a display: a virtual one where there is Xvfb."""
    if not sys.platform.startswith("linux"):
        return [], {}
    if shutil.which("xvfb-run"):
        screen = ["-s", "-screen 0 1600x1000x24 +extension GLX"]
        return ["xvfb-run", "-a", *screen], {"QT_QPA_PLATFORM": "xcb"}
    return [], {"QT_QPA_PLATFORM": "offscreen"}


def run_tier(
    name: str, command: list[str], variables: dict[str, str] | None = None, fine: tuple[int, ...] = (0,)
) -> bool:
    """Run one tier in the checkout and say how it went."""
    print(f"\n=== {name}", flush=True)
    start = time.monotonic()
    code = subprocess.call(command, cwd=CHECKOUT, env={**os.environ, **(variables or {})}, stdin=subprocess.DEVNULL)
    outcome = "passed" if code in fine else f"FAILED (exit code {code})"
    print(f"=== {name}: {outcome} in {time.monotonic() - start:.0f} s", flush=True)
    return code in fine


def tally(
    report: Path, second: Path, passed: bool, counts: collections.Counter[str], skips: collections.Counter[str]
) -> None:
    """Add a tier's results to the counts, those of the second try in place of the first.

    A tier that broke off counts as one failure more; a test that passed only when alone is named.
    """
    first, again = outcomes(report), outcomes(second)
    for test in (test for test in again if again[test][0] == "passed" and first.get(test, ("",))[0] == "failed"):
        print(f"passed only on the second try: {test}")
    failed_before = counts["failed"]
    for outcome, reason in {**first, **again}.values():
        counts[outcome] += 1
        if outcome == "skipped":
            skips[reason] += 1
    if not passed and counts["failed"] == failed_before:
        counts["failed"] += 1


def outcomes(report: Path) -> dict[str, tuple[str, str]]:
    """Outcome (passed, failed, skipped) and its message by test, of a report that may not have been written."""
    found: dict[str, tuple[str, str]] = {}
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        children = {child.tag: child.get("message") or "" for child in case}
        test = f"{case.get('classname')}::{case.get('name')}"
        if "failure" in children or "error" in children:
            found[test] = ("failed", "")
        elif "skipped" in children:
            found[test] = ("skipped", children["skipped"])
        else:
            found.setdefault(test, ("passed", ""))
    return found


def conclude(broken: list[str], counts: collections.Counter[str], skips: collections.Counter[str]) -> int:
    """Print what was skipped and why, which checks failed, and the closing line."""
    print()
    for reason, number in skips.most_common():
        print(f"skipped {number}: {reason}")
    if broken:
        print(f"checks that failed: {', '.join(broken)}")
    print(f"{counts['passed']} passed, {counts['failed'] + len(broken)} failed, {counts['skipped']} skipped")
    return 1 if broken or counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
