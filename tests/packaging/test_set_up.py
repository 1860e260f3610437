"""The first start for real, with tiny packages: interrupted, doubled, forbidden, read-only, brought up to date."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.conftest import Start, make_wheel, pin

NEEDS_ENVIRONMENT = "install-launcher"  # a command that sets up first and then needs nothing of what was installed


def version_in(environment: Path, module: str = "atomdemo") -> str:
    """Version of a module as the environment's own Python and its script see it."""
    by_import = [environment / "bin" / "python", "-c", f"import {module}; print({module}.VERSION)"]
    by_script = [environment / "bin" / module]
    seen = {
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in (by_import, by_script)
    }
    assert len(seen) == 1
    return seen.pop().strip()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".venv.") and path.suffix != ".lock"]


def test_first_start_update_and_move(start: Start, checkout: Path, tmp_path: Path) -> None:
    first = start(NEEDS_ENVIRONMENT)
    assert first.returncode == 0, first.stderr
    assert "needed only once" in first.stderr
    assert "AtomSeg is in the menu" in first.stdout
    assert "set" not in first.stdout, "what set-up says belongs to standard error"
    assert version_in(checkout / ".venv") == "1.0"
    assert leftovers(checkout) == []

    second = start(NEEDS_ENVIRONMENT)
    assert (second.returncode, second.stderr) == (0, "")

    make_wheel(tmp_path / "wheels", "atomdemo", "2.0")
    pin(tmp_path / "pins.txt", tmp_path / "wheels", "atomdemo==2.0")
    refused = start("--no-setup", NEEDS_ENVIRONMENT)
    assert refused.returncode == 1
    assert "--no-setup forbids it" in refused.stderr
    updated = start(NEEDS_ENVIRONMENT)
    assert updated.returncode == 0
    assert "up to date" in updated.stderr
    assert version_in(checkout / ".venv") == "2.0"

    moved = checkout.rename(tmp_path / "elsewhere")
    command = [moved / ".venv" / "bin" / "python", "-c", "import atomseg_app; print(atomseg_app.__file__)"]
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(moved / "atomseg_app" / "__init__.py")


def test_another_build_of_torch_is_fetched_once_and_kept(start: Start, checkout: Path, tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels", "torch", "2.13.0")
    wheel = make_wheel(tmp_path / "index" / "torch", "torch", "2.13.0+gpu")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.as_uri().replace("+", "%2B")}">{wheel.name}</a>')
    pin(tmp_path / "pins.txt", tmp_path / "wheels", "torch==2.13.0")
    assert start(NEEDS_ENVIRONMENT).returncode == 0
    assert version_in(checkout / ".venv", "torch") == "2.13.0"

    index = (tmp_path / "index").as_uri()
    other = start(NEEDS_ENVIRONMENT, ATOMSEG_TORCH_INDEX=index)
    assert other.returncode == 0, other.stderr
    assert version_in(checkout / ".venv", "torch") == "2.13.0+gpu"
    later = start(NEEDS_ENVIRONMENT)
    assert (later.returncode, later.stderr) == (0, "")
    assert version_in(checkout / ".venv", "torch") == "2.13.0+gpu"


@contextlib.contextmanager
def stalling_server(wheel: Path) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Serve a wheel, but hold its end back until told: address of its index page, ``asked`` and ``go_on``."""
    asked, go_on = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = self.path == "/"
            content = f'<a href="{wheel.name}">{wheel.name}</a>'.encode() if page else wheel.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html" if page else "application/zip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:100])
            if not page:
                asked.set()
                go_on.wait(60)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content[100:])

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked, go_on
    finally:
        go_on.set()
        server.shutdown()
        server.server_close()


def heed_ctrl_c() -> None:
    """A shell's background job ignores Ctrl+C, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_ended_in_the_middle_it_resumes_and_the_second_waits(
    checkout: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl+C during a download, then kill -9 during the next; then two starts at once: one sets up, the other waits."""
    wheel = make_wheel(tmp_path / "remote", "slowdemo", "1.0")
    command = [sys.executable, str(checkout / "main.py"), NEEDS_ENVIRONMENT]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    log = checkout / ".venv.partial" / "set-up.log"
    with stalling_server(wheel) as (address, asked, go_on):
        pin(tmp_path / "pins.txt", tmp_path / "wheels", f"--find-links {address}", "slowdemo==1.0", "atomdemo==1.0")
        for times, (end, code) in enumerate([(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)], start=1):
            process = subprocess.Popen(command, env=surroundings, preexec_fn=heed_ctrl_c, **quiet)  # type: ignore[call-overload]
            assert asked.wait(60)
            asked.clear()
            while log.read_text("utf-8").count("Downloading") < times:
                time.sleep(0.05)  # a pip that still has something to say would end when nobody listens any more
            process.send_signal(end)
            said = process.communicate()[1]
            assert process.returncode == code, said
            assert ("next start goes on" in said) is (code == 130)
            assert "Traceback" not in said
            assert not (checkout / ".venv").exists()
            assert leftovers(checkout) == [".venv.partial"]

        both = [subprocess.Popen(command, env=surroundings, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        # The pip of the killed start still holds its half-fetched file, so that both have to wait for it.
        first_words = [process.stderr.readline() for process in both]
        go_on.set()
        said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("going on where it stopped" in text for text in said) == 1
    assert all("waiting for it" in text for text in first_words)
    assert version_in(checkout / ".venv", "slowdemo") == "1.0"
    assert leftovers(checkout) == []


def test_half_installed_package_is_installed_again(start: Start, checkout: Path) -> None:
    assert start(NEEDS_ENVIRONMENT).returncode == 0
    site = next((checkout / ".venv").glob("lib/python3*/site-packages"))
    (site / "atomdemo.py").unlink()
    (site / "atomdemo-1.0.dist-info" / "RECORD").unlink()
    stamp = checkout / ".venv" / "atomseg.json"
    stamp.write_text(json.dumps({"pins": {}, "torch_index": ""}))
    again = start(NEEDS_ENVIRONMENT)
    assert again.returncode == 0, again.stderr
    assert version_in(checkout / ".venv") == "1.0"


def test_read_only_checkout_uses_the_data_folder(checkout: Path, surroundings: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-B", str(checkout / "main.py"), NEEDS_ENVIRONMENT]
    if os.geteuid() == 0:  # permissions stop root only without the capability to override them
        if not shutil.which("setpriv"):
            pytest.skip("root writes everywhere, and setpriv, which would stop it, is missing")
        command = ["setpriv", "--bounding-set=-dac_override,-fowner", "--inh-caps=-all", *command]
    checkout.chmod(0o555)
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    checkout.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert not (checkout / ".venv").exists()
    (environment,) = (path for path in (tmp_path / "home/data/environments").iterdir() if path.is_dir())
    assert version_in(environment) == "1.0"
    imports = [environment / "bin" / "python", "-c", "import atomseg_app; print(atomseg_app.__file__)"]
    found = subprocess.run(imports, cwd="/", capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(checkout / "atomseg_app" / "__init__.py")


def test_what_is_not_ours_is_left_alone(start: Start, checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").write_text("precious")
    refused = start(NEEDS_ENVIRONMENT)
    assert refused.returncode == 1
    assert "is in the way" in refused.stderr
    assert (checkout / ".venv" / "thesis.txt").read_text() == "precious"


def test_failing_pip_names_the_reason_and_the_log(start: Start, checkout: Path, tmp_path: Path) -> None:
    pin(tmp_path / "pins.txt", tmp_path / "wheels", "absent==1.0")
    failed = start(NEEDS_ENVIRONMENT)
    assert failed.returncode == 1
    assert "No matching distribution found for absent==1.0" in failed.stderr
    log = Path(failed.stderr.rpartition("The whole log: ")[2].strip())
    assert "absent" in log.read_text("utf-8")
    assert "Traceback" not in failed.stderr


def test_python_without_ensurepip_names_the_package(
    checkout: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """Debian ships ensurepip apart. Here it is taken from a copy, made of links, of the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    copy = tmp_path / "base" / "lib" / version
    copy.mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in ("ensurepip", "site-packages"):
            (copy / path.name).symlink_to(path)
    done = subprocess.run(
        [os.path.realpath(sys.executable), str(checkout / "main.py"), NEEDS_ENVIRONMENT],
        env={**surroundings, "PYTHONHOME": str(tmp_path / "base")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"sudo apt install {version}-venv" in done.stderr
