"""The log: bounded, one header a session, and a crash leaves its traceback."""

import logging
import subprocess
import sys

import pytest

from atomseg_app import logs


@pytest.fixture
def log(tmp_path):
    path = logs.start(tmp_path / "logs", "1.2.3")
    yield path
    logs.stop()


def test_a_session_begins_with_what_runs(log):
    text = log.read_text("utf-8")
    assert "session: AtomSeg 1.2.3, Python 3." in text
    assert "process" in text


def test_lines_of_this_program_and_warnings_of_others(log):
    logging.getLogger("atomseg_app.gui.anything").info("opened ä.dm4")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("deprecated")
    text = log.read_text("utf-8")
    assert "INFO     atomseg_app.gui.anything: opened ä.dm4" in text
    assert "some.library: deprecated" in text
    assert "chatter" not in text


def test_exceptions_keep_their_traceback(log):
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("atomseg_app").exception("while testing")
    assert "ValueError: odd" in log.read_text("utf-8")
    assert "test_logs.py" in log.read_text("utf-8")


def test_it_stays_within_five_files_of_2_mb(log):
    for _ in range(130):
        logging.getLogger("atomseg_app").info("x" * 100_000)
    files = list(log.parent.glob(logs.LOG_FILE + "*"))
    assert len(files) == 5
    assert all(path.stat().st_size <= 2 << 20 for path in files)


def test_text_that_is_no_unicode_does_not_fail(log, capsys):
    logging.getLogger("atomseg_app").info("a name of a file: \udcff")
    assert "\\udcff" in log.read_text("utf-8")
    assert capsys.readouterr().err == ""


def test_starting_again_does_not_write_twice(log):
    logs.start(log.parent, "1.2.3")
    logging.getLogger("atomseg_app").info("once")
    assert log.read_text("utf-8").count("once") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_crash_leaves_its_traceback(tmp_path):
    code = (
        "import ctypes; from pathlib import Path; from atomseg_app import logs\n"
        f"logs.start(Path({str(tmp_path)!r}), '1')\n"
        "def fault(): ctypes.string_at(0)\n"
        "fault()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode < 0
    text = (tmp_path / logs.CRASH_FILE).read_text("utf-8")
    assert "Segmentation fault" in text
    assert "in fault" in text


def test_it_needs_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import atomseg_app.logs\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "sys.exit(str(new - {'atomseg_app'}) if new - {'atomseg_app'} else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
