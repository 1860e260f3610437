"""The bridge from the background thread: results, expected failures, and defects that must never vanish."""

from __future__ import annotations

import logging

import pytest
from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from atomseg_app.errors import UserError
from atomseg_app.gui.background import Background


@pytest.fixture
def background(qtbot: QtBot):
    made = Background()
    yield made
    made.close()


def _defect() -> None:
    raise KeyError("no such axis")


def test_a_defect_is_logged_with_its_traceback_and_told(background, qtbot, caplog):
    problems: list[Exception] = []
    with caplog.at_level(logging.ERROR):
        background.run(_defect, lambda _: problems.append(RuntimeError("done")), problems.append)
        qtbot.waitUntil(lambda: bool(problems))
    assert isinstance(problems[0], KeyError)
    assert "in _defect" in caplog.text, "the traceback names the place"


def test_a_defect_that_nobody_takes_is_raised_in_the_windows_thread(background, qtbot, caplog):
    with capture_exceptions() as raised:
        background.run(_defect)
        qtbot.waitUntil(lambda: bool(raised))
    assert raised[0][0] is KeyError
    assert "in _defect" in caplog.text


def test_the_thread_goes_on_after_a_defect(background, qtbot):
    got: list[object] = []
    background.run(_defect, None, got.append)
    background.run(lambda: 7, got.append)
    qtbot.waitUntil(lambda: len(got) == 2)
    assert got[1] == 7


def test_what_can_be_expected_to_fail_is_told_without_a_traceback(background, qtbot, caplog):
    problems: list[Exception] = []

    def fail() -> None:
        raise UserError("The file is gone.")

    background.run(fail, None, problems.append)
    background.run(fail)
    qtbot.waitUntil(lambda: "The file is gone." in caplog.text)
    assert str(problems[0]) == "The file is gone."
    assert "Traceback" not in caplog.text
