"""``atomseg bench simulator`` at a tiny size: every way is measured, and a process that fails is told."""

from __future__ import annotations

import re

import pytest

from atomseg_app.benchmarks import command, simulator
from atomseg_app.simulate.pictures import LABELS


def test_the_table_has_a_row_for_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulator.run(size_px=32, count=3) is False
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    rows = [row for row in rows if row and row[0] == "cpu"]
    assert [row[1:5] for row in rows] == [
        ["1", "1", "3", str(len(LABELS))], ["1", "2", "3", str(len(LABELS))], ["2", "1", "6", str(len(LABELS))],
    ]  # fmt: skip
    for row in rows:
        assert all(re.fullmatch(r"[\d.e+]+", cell) and float(cell) > 0 for cell in row[5:])


def test_a_process_cannot_make_more_pictures_than_its_time_allows() -> None:
    one = simulator.rate(32, 16)
    assert one.per_s <= one.per_processor_s * 1.1, "one thread gets at most a second of processor a second"


def test_a_process_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Simulating pictures failed.*nonesuch"):
        simulator.rate(32, 1, device="nonesuch")


def test_two_cores_below_the_bar_fail_the_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = simulator.Rate(30.0, 30.0, 5), simulator.Rate(45.0, 30.0, 5)
    monkeypatch.setattr(simulator, "cores", lambda: 2)
    monkeypatch.setattr(simulator, "rate", lambda *_, processes=1, threads=1, **__: slow)
    assert simulator.run() is True
    monkeypatch.setattr(simulator, "rate", lambda *_, processes=1, **__: fast if processes == 2 else slow)
    assert simulator.run() is False


def test_it_is_among_the_benchmarks() -> None:
    assert "simulator" in command.Benchmark.__args__
    assert "simulator" in command._IN_ORDER
