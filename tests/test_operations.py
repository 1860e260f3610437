"""Operations: parameters are checked with words, runs are written down, and reports can cancel. Devices beside."""

import json
import subprocess
import sys

import numpy as np
import pytest

from atomseg_app import __version__, devices, operations
from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS, FindColumns
from atomseg_app.data import Image
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Operation, Parameters, Report, parameter


class Brighten(Parameters):
    """Parameters of the operation that these tests run."""

    factor: float = parameter(2.0, "How much brighter.", gt=0, le=10)


def brighten(image, parameters, report):
    """Called through the operation, by its import path."""
    report.note("made brighter")
    report.progress(1.0, "done")
    report.facts.device = "test"
    return Image(image.values * parameters.factor, image.pixel_size_nm, image.source, image.metadata, image.history)


BRIGHTEN = Operation(
    "brighten", "Brighten", "Makes it brighter.", Brighten, "tests.test_operations:brighten", ("image",), "image"
)


def test_run_writes_down_what_was_done():
    image = Image(np.ones((2, 2)))
    result = operations.run(BRIGHTEN, (image,), BRIGHTEN.parse({"factor": 3}), Report())
    assert result.values.max() == 3
    (step,) = result.history
    assert (step.operation, step.parameters, step.version) == ("brighten", {"factor": 3.0}, __version__)
    assert (step.device, step.notes) == ("test", ("made brighter",))
    assert step.seconds >= 0
    assert step.when.endswith("+00:00")
    assert image.history == ()
    twice = operations.run(BRIGHTEN, (result,), BRIGHTEN.parse({}), Report())
    assert [entry.parameters["factor"] for entry in twice.history] == [3.0, 2.0]
    assert [entry.notes for entry in twice.history] == [("made brighter",)] * 2


def test_wrong_inputs_are_refused_by_kind():
    with pytest.raises(UserError, match="needs image, columns, but was given image"):
        operations.run(REFIT_COLUMNS, (Image(np.ones((2, 2))),), REFIT_COLUMNS.parse({}), Report())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"false_alarms": 0}, r"false_alarms = 0: .*greater than 0"),
        ({"false_alarms": 1001}, "less than or equal to 1000"),
        ({"false_alarms": float("nan")}, "false_alarms"),
        ({"method": "magic"}, "'log' or 'hough'"),
        ({"region_px": (1, 2, 3)}, "region_px"),
        ({"separation": 3}, "separation"),
    ],
)
def test_bad_parameters_name_the_value_and_the_bound(values, said):
    with pytest.raises(UserError, match=said):
        FIND_COLUMNS.parse(values)


def test_parameters_survive_json_and_cannot_change():
    parameters = FIND_COLUMNS.parse({"region_px": [1, 2, 30, 40], "method": "hough"})
    assert FIND_COLUMNS.parse(json.loads(json.dumps(parameters.model_dump(mode="json")))) == parameters
    with pytest.raises(ValueError, match="frozen"):
        parameters.method = "log"


def test_every_declared_operation_is_complete():
    """Forms, help and reference come from the declarations, so each field needs its sentence and its default works."""
    known = operations.all_operations()
    assert {"find-columns", "refit-columns"} <= set(known)
    for name, operation in known.items():
        assert operation.name == name
        assert operation.description.endswith(".")
        operation.parse({})
        for field_name, field in operation.parameters.model_fields.items():
            assert (field.description or "").endswith("."), f"{name}: {field_name} has no sentence"
            assert set(field.json_schema_extra) == {"unit", "advanced"}, f"{name}: {field_name}"
            if field_name.endswith(("_px", "_nm", "_deg")):
                assert field.json_schema_extra["unit"] == field_name.rsplit("_", 1)[1]
        assert callable(operation.load())


def test_names_are_taken_once_and_unknown_ones_list_the_known():
    with pytest.raises(RuntimeError, match="twice"):
        operations.register(FIND_COLUMNS)
    with pytest.raises(UserError, match=r"no operation 'find'; known: .*find-columns"):
        operations.get("find")


def test_declarations_import_neither_torch_nor_readers():
    """What makes forms and --help cost nothing."""
    code = (
        "import sys; from atomseg_app import operations; operations.all_operations();"
        "print([m for m in ('torch', 'scipy', 'skimage', 'h5py', 'rsciio', 'PySide6') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_parts_of_a_report_fill_their_span_and_share_facts():
    seen = []
    report = Report(on_progress=lambda fraction, message: seen.append((round(fraction, 6), message)))
    first, second = report.part(0, 0.5), report.part(0.5, 1)
    first.progress(0.5, "a")
    second.part(0.5, 1).progress(0.5, "b")
    second.progress(7, "c")
    second.progress(-1, "d")
    assert seen == [(0.25, "a"), (0.875, "b"), (1.0, "c"), (0.5, "d")]
    first.note("said")
    assert report.facts.notes == ["said"]


def test_progress_checks_for_cancellation_in_every_part():
    stop = []
    report = Report(cancelled=lambda: bool(stop))
    child = report.part(0, 0.5).part(0, 0.5)
    child.progress(0.1)
    stop.append(1)
    for one in (report, child):
        with pytest.raises(Cancelled):
            one.progress(0.2)
        with pytest.raises(Cancelled):
            one.check()


def test_logs_notes_and_previews_reach_the_caller():
    lines, previews = [], []
    report = Report(
        on_log=lambda level, text: lines.append((level, text)), on_preview=lambda name, _: previews.append(name)
    )
    report.log("began")
    report.note("NaN masked")
    report.preview("blobs", np.zeros(3))
    assert lines == [("info", "began"), ("warning", "NaN masked")]
    assert previews == ["blobs"]


def test_silent_report_does_nothing():
    report = Report()
    report.progress(0.5)
    report.log("x")
    report.preview("x", np.zeros(1))


def test_device_wishes():
    import torch

    report = Report()
    assert devices.choose("cpu", report).type == "cpu"
    assert report.facts.device == "cpu"
    assert devices.choose("auto", report).type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"'cuda' cannot be used here \(usable: .*cpu"):
            devices.choose("cuda", report)


def test_card_too_old_for_this_torch_is_left_with_a_note(monkeypatch):
    import torch

    def no_kernel(*_args, **_kwargs):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch, "ones", no_kernel)
    report = Report()
    assert devices.choose("auto", report).type == "cpu"
    assert "no kernel image" in report.facts.notes[0]
    with pytest.raises(UserError, match="usable: cpu"):
        devices.choose("cuda", report)


def test_find_columns_defaults_are_the_declared_ones():
    assert FIND_COLUMNS.parse({}) == FindColumns()
