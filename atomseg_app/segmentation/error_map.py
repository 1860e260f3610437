"""Where labels differ from a reference as labels of their own, to be drawn in 3D and written as any others."""

from __future__ import annotations

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.io.scratch import scratch
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.operations import Report
from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH, error_codes

ERROR_CLASSES = (
    LabelClass(0, "neither (TN)", "#3b3b3b"),
    LabelClass(RIGHT, "right (TP)", "#9a9a9a"),
    LabelClass(TOO_MUCH, "too much (FP)", "#e69f00"),
    LabelClass(MISSED, "missed (FN)", "#0072b2"),
)
"""Orange and blue, which colour-blind readers tell apart (Okabe and Ito)."""


def error_map(labels: Labels, reference: Labels, value: int, report: Report | None = None) -> Labels:
    """Map (z, y, x) of one class: 0 neither, 1 right, 2 too much, 3 missed; 255 where the reference is ignored.

    Raises UserError naming both shapes where they differ.
    """
    report = report or Report()
    if labels.shape != reference.shape:
        one, other = (" x ".join(map(str, each.shape)) for each in (labels, reference))
        raise UserError(f"The labels have {one} voxels (z, y, x), but the reference has {other}.")
    codes = scratch(labels.shape, "u1")
    for z, (found, wanted) in enumerate(zip(labels.values, reference.values, strict=True)):
        report.progress(z / len(codes), "comparing")
        codes[z] = error_codes(found, wanted, value)
        codes[z][wanted == IGNORE] = IGNORE
    sizes = labels.pixel_size_nm if None not in labels.pixel_size_nm else reference.pixel_size_nm
    return Labels(codes, sizes, labels.source, history=labels.history, classes=ERROR_CLASSES)
