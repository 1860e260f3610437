"""Labels that a user painted, from a file that belongs to a volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atomseg_app.data import Labels, Volume
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report


def read_painted(path: Path, volume: Volume, report: Report, ignore_value: int = IGNORE) -> Labels:
    """Labels of a volume, voxels of ``ignore_value`` unpainted. Raises UserError, also where they are of another shape.

    A note tells where it looks as if 0 stood for what nobody painted.
    """
    from atomseg_app.io.labels import read_labels, with_ignored

    labels = read_labels(path, None, report, volume)
    values = labels.values
    if ignore_value == IGNORE and not (values == IGNORE).any() and np.count_nonzero(values) < 0.1 * values.size:
        report.note(
            f"{path.name}: more than 90 % of the voxels are 0, and none is {IGNORE}. They are taught as a class; say "
            "--ignore-value 0 if they are merely not painted."
        )
    return with_ignored(labels, ignore_value)
