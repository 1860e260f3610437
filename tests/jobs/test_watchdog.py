"""The watchdog of the event loop sees every stall, and what caused it."""

import logging
import time
import weakref

import pytest

from atomseg_app.gui.watchdog import StallWatchdog


@pytest.fixture
def watchdog(qapp):
    watchdog = StallWatchdog()
    watchdog.start()
    yield watchdog
    watchdog.stop()


def a_slow_slot():
    time.sleep(0.35)


def another_slow_slot():
    time.sleep(0.35)


def test_an_idle_window_does_not_stall(watchdog, qtbot):
    qtbot.wait(300)
    assert watchdog.longest_s < 0.2
    assert watchdog.stalls == []


def test_a_stall_is_measured_logged_and_blamed(watchdog, qtbot, caplog):
    qtbot.wait(50)
    with caplog.at_level(logging.WARNING):
        a_slow_slot()
        qtbot.wait(50)
    assert watchdog.longest_s == pytest.approx(0.35, abs=0.1)
    (stall,) = watchdog.stalls
    assert "a_slow_slot" in stall.stack
    assert "did not answer for" in caplog.text
    assert "a_slow_slot" in caplog.text


def test_looking_at_a_stall_keeps_nothing_of_it_alive(watchdog, qtbot):
    """A frame kept by the watching thread once kept a widget alive, which then ended in that thread: a crash."""

    class Thing:
        pass

    def stalled() -> weakref.ref[Thing]:
        thing = Thing()
        time.sleep(0.35)
        return weakref.ref(thing)

    qtbot.wait(50)
    thing = stalled()
    assert thing() is None
    qtbot.wait(50)
    assert "stalled" in watchdog.stalls[0].stack


def test_a_stall_is_not_blamed_on_what_came_before(watchdog, qtbot):
    """What was seen before the watch began afresh, as while a window was made, says nothing of a later stall."""
    a_slow_slot()
    watchdog.reset()
    another_slow_slot()
    qtbot.wait(50)
    (stall,) = watchdog.stalls
    assert "another_slow_slot" in stall.stack


def test_short_delays_are_measured_but_not_logged(watchdog, qtbot, caplog):
    time.sleep(0.1)
    qtbot.wait(50)
    assert 0.07 < watchdog.longest_s < 0.2
    assert watchdog.stalls == []
    assert caplog.text == ""


def test_a_stall_that_never_ended_counts_when_the_watch_ends(watchdog, qtbot):
    qtbot.wait(30)
    a_slow_slot()
    watchdog.stop()
    assert watchdog.longest_s > 0.3


def test_stalls_may_be_left_out_by_their_stack(qapp, qtbot):
    watchdog = StallWatchdog(counts=lambda stack: "a_slow_slot" not in stack)
    watchdog.start()
    qtbot.wait(50)
    a_slow_slot()
    qtbot.wait(50)
    watchdog.stop()
    assert watchdog.stalls == []
    assert watchdog.longest_s < 0.2


def test_it_starts_afresh(watchdog, qtbot):
    a_slow_slot()
    qtbot.wait(30)
    watchdog.reset()
    qtbot.wait(50)
    assert watchdog.longest_s < 0.2
    assert watchdog.stalls == []
    watchdog.stop()
    watchdog.stop()  # twice does no harm
