"""Tiles: together they own every position once; threads pass on progress, notes, failures and cancelling."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.atoms.tiles import Tile, run_tiles, tiles_of
from atomseg_app.data import Array, column_table
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Report


@pytest.mark.parametrize("region", [(0, 0, 1024, 1024), (0, 0, 5000, 300), (7, 11, 4500, 4200), (0, 0, 1, 1)])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_position_belongs_to_one_tile(region, workers):
    left, top, right, bottom = region
    rng = np.random.default_rng(0)
    table = column_table(2000)
    table["x_px"] = rng.uniform(left - 0.5, right - 0.5, 2000)
    table["y_px"] = rng.uniform(top - 0.5, bottom - 0.5, 2000)
    tiles = list(tiles_of(region, workers))
    assert (sum(tile.owns(table).astype(int) for tile in tiles) == 1).all()
    for tile in tiles:
        assert top <= tile.rows.start < tile.rows.stop <= bottom
        assert left <= tile.columns.start < tile.columns.stop <= right


TILES = list(tiles_of((0, 0, 2048, 2048), 4))


def test_results_keep_their_order_and_progress_ends_at_one():
    seen: list[float] = []

    def work(tile: Tile, report: Report) -> Array:
        report.progress(1.0)
        report.note(f"12.{tile.rows.start} px of drift.")
        return np.array([tile.rows.start])

    report = Report(on_progress=lambda fraction, _: seen.append(fraction))
    results = run_tiles(TILES, work, 2, report)
    assert [int(result[0]) for result in results] == [tile.rows.start for tile in TILES]
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert report.facts.notes == ["12.0 px of drift. (In 4 of 4 parts of the image; figures of one of them.)"]


def test_the_failure_is_the_reason_and_not_the_tiles_it_stopped():
    def work(tile: Tile, report: Report) -> Array:
        if tile is TILES[-1]:
            raise UserError("The last tile is bad.")
        for _ in range(100_000):
            report.progress(0.5)
        return np.zeros(0)

    with pytest.raises(UserError, match="last tile"):
        run_tiles(TILES, work, 4, Report())


def test_cancelling_stops_all_tiles():
    calls: list[int] = []

    def work(tile: Tile, report: Report) -> Array:
        while True:
            calls.append(1)
            report.progress(0.0)

    with pytest.raises(Cancelled):
        run_tiles(TILES, work, 2, Report(cancelled=lambda: len(calls) > 50))
