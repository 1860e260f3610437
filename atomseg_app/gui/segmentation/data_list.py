"""The volumes that are open, with what is known of their labels."""

from __future__ import annotations

from atomseg_app.gui.entry_list import EntryList
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.segmentation.model import Entry, SegModel
from atomseg_app.gui.theme import Theme


class DataList(EntryList):
    """List of volumes; the row chosen is the one shown."""

    def __init__(self, model: SegModel, theme: Theme) -> None:
        super().__init__(
            model, theme, "Open volumes", describe, lambda _entry: "mdi6.cube-outline",
            [model.changed, model.layers_changed],
        )  # fmt: skip
        self.list.setObjectName("segmentation.data")


def describe(entry: Entry) -> str:
    """Size, calibration, and number of segmentations in a line."""
    depth, height, width = entry.data.shape
    sizes = entry.data.pixel_size_nm
    known = [size for size in sizes if size is not None]
    if len(known) < 3:
        scale = "not calibrated"
    elif max(known) - min(known) < 1e-6 * max(known):
        scale = f"{length_text(known[0], 4)}/px"
    else:
        scale = " × ".join(length_text(size, 4) for size in reversed(known))
    count = len(entry.results)
    found = f" · {count} result{'' if count == 1 else 's'}" if count else ""
    return f"{width} × {height} × {depth} · {scale}{found}"
