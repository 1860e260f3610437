"""Which operations of the registry belong to which step of the tab."""

from __future__ import annotations

from atomseg_app import operations
from atomseg_app.operations import Operation

PREPARE, ALIGN, RECONSTRUCT, FILL, QUALITY = "prepare", "align", "reconstruct", "fill", "quality"
_SERIES, _VOLUME = "tilt-series", "volume"
_NOT_HERE = ("project",)
"""Operations for the command line that no step of the window needs."""
FILL_WEDGE = "fill-wedge"
"""The operation that infers what was not measured."""
_MEASURES = ("fsc", "compare-volumes")
"""Operations that tell of quality, whatever they give."""


def step_of(operation: Operation) -> str:
    """Step that an operation belongs to, empty if none: told by what it takes and gives, and by its name."""
    if (_SERIES not in operation.inputs and _VOLUME not in operation.inputs) or operation.name in _NOT_HERE:
        return ""
    if operation.name in _MEASURES:
        return QUALITY
    if operation.name == FILL_WEDGE:
        return FILL
    if operation.inputs[0] == _SERIES and operation.output == _VOLUME:
        return RECONSTRUCT
    if operation.inputs[0] == _SERIES and operation.output == _SERIES:
        return ALIGN if operation.name.startswith(("align", "refine", "match", "find-axis", "axis")) else PREPARE
    return QUALITY


def operations_of(step: str) -> list[Operation]:
    """Operations of a step in the order of their declaration."""
    return [operation for operation in operations.all_operations().values() if step_of(operation) == step]
