"""What was done to a tilt series or a volume as a Python script that runs without the window."""

from __future__ import annotations

from pathlib import Path

from atomseg_app import operations
from atomseg_app.data import Step, TiltSeries, Volume

_ALIGN = "align"


def python_script(data: TiltSeries | Volume, series: TiltSeries | None) -> str:
    """Python source that reads the file of ``data`` and repeats the steps of its history.

    ``series`` is what a volume was made from, where that is open: its angles, its axis, its views left out and its
    alignment are written down as they are. Steps that cannot be repeated are told in comments.
    """
    known = data if isinstance(data, TiltSeries) else series
    made = data.history[-1] if data.history else None
    origin = f", as AtomSeg {made.version} made it on {made.device!r}" if made else ""
    origin += f", {made.when}" if made and made.when else ""
    lines = [
        f"# {data.source.name!r}{origin}.",
        "from dataclasses import replace",
        "",
        "from atomseg_app import operations",
        "from atomseg_app.alignment import Alignment",
        "from atomseg_app.io import files, volume_writer",
        "from atomseg_app.tomography.tilts import with_angles",
        "",
        "report = operations.Report(on_log=lambda level, text: print(text))",
        f"series = files.read({data.source.path!r}, {data.source.dataset or None!r})",
        *([] if known is None else _angles(known)),
        *(line for step in data.history if not _makes_volume(step) for line in _series_step(step, known)),
        *([] if known is None else _facts(known)),
    ]
    written = f"{Path(data.source.path or data.source.name).stem}_volume.mrc"
    first = True
    for step in (step for step in data.history if _makes_volume(step)):
        lines += _volume_step(step, first=first)
        first = False
    if not first:
        lines += [f"volume_writer.write_volume({written!r}, volume, report)", f"print({written!r})"]
    return "\n".join(lines) + "\n"


def _angles(series: TiltSeries) -> list[str]:
    """Lines that give the series its angles, before anything is done to it."""
    angles: list[object] = [float(tilt) for tilt in series.tilt_deg]
    if series.euler_deg is not None:
        angles = [tuple(float(angle) for angle in triple) for triple in series.euler_deg]
    return [
        f"series = with_angles(series, {angles!r}, report, 'the list below')",
        f"series = replace(series, tilt_axis={series.tilt_axis!r})",
    ]


def _facts(series: TiltSeries) -> list[str]:
    """Lines for what is known of the series beside its images."""
    lines = [f"series = replace(series, tilt_axis={series.tilt_axis!r}, excluded={series.excluded!r})"]
    sizes = ", ".join(repr(None if size is None else float(size)) for size in series.pixel_size_nm)
    lines.append(f"series = series.with_pixel_size({sizes})")
    if series.alignment is not None:
        plain = {
            name: tuple(float(one) for one in value) if isinstance(value, tuple | list) else float(value)
            for name, value in series.alignment.to_json().items()
        }
        lines.append(f"series = replace(series, alignment=Alignment(**{plain!r}))")
    return lines


def _makes_volume(step: Step) -> bool:
    operation = operations.all_operations().get(step.operation)
    return operation is not None and operation.output == Volume.kind


def _series_step(step: Step, known: TiltSeries | None) -> list[str]:
    """Lines that do a step on the series again; an alignment whose result is written down is only told of."""
    operation = operations.all_operations().get(step.operation)
    told = f"{step.operation} with {dict(step.parameters)!r}"
    if operation is None or operation.inputs != (TiltSeries.kind,):
        return [f"# Not repeated: {told}."]
    if step.operation.startswith(_ALIGN) and known is not None and known.alignment is not None:
        return [f"# The alignment below was found by {told}."]
    return _run(step, "series", "series")


def _volume_step(step: Step, *, first: bool) -> list[str]:
    """Lines that make the volume again."""
    inputs = operations.all_operations()[step.operation].inputs
    if inputs != (TiltSeries.kind,) or not first:
        return [f"# Not repeated: {step.operation} with {dict(step.parameters)!r}."]
    return _run(step, "series", "volume")


def _run(step: Step, taken: str, given: str) -> list[str]:
    return [
        f"operation = operations.get({step.operation!r})",
        f"parameters = operation.parse({dict(step.parameters)!r})",
        f"{given} = operations.run(operation, ({taken},), parameters, report)",
    ]
