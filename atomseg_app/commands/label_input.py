"""Labels from a file that a user names, checked and with unpainted voxels as ``IGNORE``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atomseg_app.data import ImageSeries, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE, numbered
from atomseg_app.operations import Report


def read_painted(path: Path, report: Report, ignore_value: int = IGNORE) -> Labels:
    """Labels of a file of whole numbers 0 to 255. Raises UserError where it holds anything else.

    A note tells where it looks as if 0 stood for what nobody painted.
    """
    from atomseg_app.io import files

    item = files.read(path, None, report)
    if not isinstance(item, Volume | ImageSeries):
        raise UserError(f"{path} holds data of kind {item.kind}, not the labels of a volume.")
    values = np.asarray(item.values)
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.round(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > IGNORE:
        raise UserError(f"{path} holds {values.dtype} values that are no labels; labels are whole numbers 0 to 255.")
    values = values.astype(np.uint8)
    if ignore_value != IGNORE:
        if (values == IGNORE).any():
            raise UserError(f"{path} has voxels of the value {IGNORE}, which stands for unpainted; give them another.")
        values = np.where(values == ignore_value, np.uint8(IGNORE), values)
    elif not (values == IGNORE).any() and np.count_nonzero(values) < 0.1 * values.size:
        report.note(f"{path.name}: more than 90 % of the voxels are 0, and none is {IGNORE}. They are taught as a "
                    "class; say --ignore-value 0 if they are merely not painted.")  # fmt: skip
    found = [int(value) for value in np.unique(values) if value != IGNORE]
    sizes = item.pixel_size_nm if isinstance(item, Volume) else (None, *item.pixel_size_nm)
    return Labels(values, sizes, item.source, dict(item.metadata), item.history, numbered(found))
