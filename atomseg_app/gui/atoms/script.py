"""A result as a script: what finds the same columns again, and measures the same of them, without a window."""

from __future__ import annotations

from atomseg_app import operations
from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS
from atomseg_app.data import Columns, Image, ImageSeries, Step, Volume
from atomseg_app.gui.atoms.edits import BY_HAND


def python_script(data: Image | ImageSeries | Volume, columns: Columns, frame: int) -> str:
    """Python source that reads the file and repeats the last *Find columns* in the history of ``columns``, and what was
    measured after it.
    """
    step = next(step for step in reversed(columns.history) if step.operation == FIND_COLUMNS.name)
    after = columns.history[columns.history.index(step) + 1 :]
    one_frame = f".slice_z({frame})" if isinstance(data, Volume) else f".frame({frame})"
    part = "" if isinstance(data, Image) else one_frame
    lines = [
        f"# Columns of {data.source.name!r}, as AtomSeg {step.version} found them on {step.device!r}, {step.when}.",
        "",
        "from atomseg_app import operations",
        "from atomseg_app.io import files, tables",
        "",
        f"data = files.read({data.source.path!r}, {data.source.dataset or None!r})",
        f"image = data.with_pixel_size(*{data.pixel_size_nm!r}){part}",
        f"find = operations.get({FIND_COLUMNS.name!r})",
        f"parameters = find.parse({dict(step.parameters)!r})",
        "columns = operations.run(find, (image,), parameters, operations.Report())",
        *(line for step in after for line in _repeated(step)),
        f"tables.write_csv(columns, {data.source.name + '_columns.csv'!r})",
    ]
    return "\n".join(lines) + "\n"


def _repeated(step: Step) -> list[str]:
    """Lines that measure again, or that tell what is not repeated."""
    operation = operations.all_operations().get(step.operation)
    if operation is None or operation.output != "columns" or step.operation == REFIT_COLUMNS.name:
        return [f"# Not repeated: {_told(step.operation, dict(step.parameters))}."]
    inputs = "".join("image, " if kind == "image" else "columns, " for kind in operation.inputs).strip()
    return [
        f"measure = operations.get({step.operation!r})",
        f"parameters = measure.parse({dict(step.parameters)!r})",
        f"columns = operations.run(measure, ({inputs}), parameters, operations.Report())",
    ]


def _told(operation: str, parameters: dict[str, object]) -> str:
    if operation == BY_HAND:
        return "edits by hand (" + ", ".join(f"{count} {what}" for what, count in parameters.items()) + ")"
    return f"{operation} with {parameters!r}"
