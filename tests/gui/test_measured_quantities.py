"""Tables with measured quantities in the window: edits keep them, what is new or moved has none yet."""

import numpy as np
import pytest
from PySide6.QtCore import Qt

from atomseg_app.data import Columns, Image, column_table, with_quantities
from atomseg_app.gui.atoms import edits
from atomseg_app.gui.atoms.table import ColumnTableModel

pytestmark = pytest.mark.gui


def measured() -> Columns:
    table = column_table(4)
    table["x_px"], table["y_px"], table["amplitude"], table["sigma_px"] = (5, 15, 25, 35), 20, 10, 2
    return with_quantities(
        Columns(table, (50, 50)), {"strain_xx": [0.1, 0.2, 0.3, 0.4], "rotation_deg": np.arange(4)}
    )  # fmt: skip


def test_edits_keep_quantities_and_what_is_new_or_moved_has_none():
    columns = measured()
    image = Image(np.random.default_rng(0).random((50, 50)))
    more, new = edits.added(columns, image, 30.0, 30.0, 0)
    assert more.quantities == columns.quantities
    assert np.isnan(more.table["strain_xx"][more.table["column_id"] == new]).all()
    assert more.table["strain_xx"][:4].tolist() == [0.1, 0.2, 0.3, 0.4]
    moved = edits.moved(columns, 1, 16.0, 20.0)
    assert np.isnan(moved.table["strain_xx"][1])
    assert moved.table["strain_xx"][[0, 2, 3]].tolist() == [0.1, 0.3, 0.4]
    assert edits.without(columns, [0, 2]).table["strain_xx"].tolist() == [0.2, 0.4]
    fitted = Columns(column_table(4), (50, 50))
    assert np.isnan(edits.with_fit(columns, fitted, [3], edited=False).table["strain_xx"][3])
    found = edits.with_found(columns, Columns(column_table(2), (50, 50)), 0, (0, 0, 20, 50))
    assert sorted(found.table["strain_xx"].tolist())[:2] == [0.3, 0.4]


def test_the_table_shows_quantities_with_unit(qapp):
    model = ColumnTableModel()
    model.set_columns(measured())
    count = model.columnCount()
    titles = [model.headerData(place, Qt.Orientation.Horizontal) for place in range(count)]
    assert "Strain" in titles[-2]
    assert "xx" in titles[-2]
    assert titles[-1] == "Rotation (°)"
    assert float(model.text(1, count - 2)) == (20 if "%" in titles[-2] else 0.2)
