"""Bars of benchmarks, seconds on a busy machine, and parts of the tomography benchmark."""

from __future__ import annotations

import time

import pytest

from atomseg_app.benchmarks import verdicts
from atomseg_app.benchmarks.verdicts import Bar, Spent, at_least, at_most, print_bars, spending
from atomseg_app.errors import UserError


def test_bars_are_reached_or_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert at_most("time", 4.5, 4.5, "s") == Bar("time", "at most 4.5 s", "4.5 s", True)
    assert not at_most("time", 4.5, 4.5001, "s").reached
    assert at_least("quality", 36, 36.2, "dB").reached
    assert not at_least("quality", 36, float("nan"), "dB").reached
    assert print_bars("What was to be reached", [at_least("a", 1, 2)])
    assert not print_bars("What was to be reached", [at_least("a", 1, 2), at_most("b", 1, 2)])
    printed = capsys.readouterr().out
    assert printed.count("| reached") == 2
    assert printed.count("| MISSED") == 1


def test_seconds_on_a_busy_machine_are_those_of_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "cores", lambda: 2)
    assert Spent(10, 18).seconds == 10  # both cores all the time
    assert Spent(10, 16).seconds == 10  # some of it is not done in parallel
    starved = Spent(100, 18)
    assert starved.busy
    assert starved.seconds == pytest.approx(10)


def test_spending_counts_both_clocks() -> None:
    with spending() as spent:
        time.sleep(0.05)
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
    assert spent.wall >= 0.06
    assert 0.02 <= spent.cpu <= spent.wall


def test_parts_and_seeds_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from atomseg_app.benchmarks import tomography

    monkeypatch.setenv("ATOMSEG_BENCH_PARTS", "growth,speeed")
    with pytest.raises(UserError, match="names 'speeed'; parts are speed, few, growth"):
        tomography.run()
    monkeypatch.setenv("ATOMSEG_BENCH_SEEDS", "0,one")
    with pytest.raises(UserError, match="give whole numbers"):
        tomography._seeds()
