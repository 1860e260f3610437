"""From a volume with painted slices, or many simulated ones, to a model with its card and an honest report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atomseg_app import devices
from atomseg_app.data import Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text
from atomseg_app.label_classes import LabelClass
from atomseg_app.networks import checkpoint, run_folder, run_start
from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.card import (
    Architecture,
    CardClass,
    Input,
    Model,
    ModelCard,
    Output,
    Segmented,
    Training,
    find_model,
)  # fmt: skip
from atomseg_app.networks.store import channels_last, load_model, save_model
from atomseg_app.networks.training import Plan, train
from atomseg_app.networks.training_log import read_log, validations
from atomseg_app.networks.workers import Workers
from atomseg_app.operations import Report
from atomseg_app.segmentation.course import SegmentationCourse
from atomseg_app.segmentation.dataset import AxisName, Taught, classes_of, painted_axis, split, taught
from atomseg_app.segmentation.grey import NORMALISATION
from atomseg_app.segmentation.judge import judge
from atomseg_app.segmentation.settings import DEFAULT_MINUTES, LASTING, TITLES, TrainSegmentation

ARCHITECTURE = "atomseg-gated-unet"
REPORT = "report.json"
LICENCE = "GPL-3.0-or-later"
LIMITS = (
    "Knows the classes, grey levels and artefacts of what it was taught; look at the uncertainty on other specimens.",
    "Particles much smaller or larger, in pixels, than those it was taught are segmented less well.",
)


@dataclass(frozen=True)
class Lessons:
    """What is taught and judged by, with its classes; ``origin`` and ``seeds`` say where it is from."""

    teaching: Sequence[Taught]
    judging: Sequence[Taught]
    classes: tuple[LabelClass, ...]
    axis: AxisName
    origin: str
    seeds: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(each.name for each in self.classes)


def train_segmentation(
    volume: Volume,
    labels: Labels,
    settings: TrainSegmentation,
    folder: Path,
    report: Report,
    *,
    shelf: Path | None = None,
    resume: bool = False,
    checkpoint_s: float = 60.0,
) -> Model:
    """Train a network on the painted voxels of a volume in ``folder`` and save it in ``shelf`` (default: there).

    ``resume`` goes on from the folder's checkpoint. Cancelling keeps the checkpoint and raises Cancelled; asking to
    stop ends early and keeps the best. ``report.json`` in the folder tells how good it is on what was held back.
    Raises UserError where labels do not fit the volume, too little is painted, the folder holds another run, the name
    is taken, or training diverges.
    """
    return train_on(lessons_of(volume, labels, settings), settings, folder, report, shelf, resume, checkpoint_s)


def lessons_of(volume: Volume, labels: Labels, settings: TrainSegmentation) -> Lessons:
    """What a painted volume teaches, and what of it judges. Raises UserError where that is too little."""
    axis: AxisName = painted_axis(labels.values) if settings.axis == "auto" else settings.axis
    classes = classes_of(labels)
    item = taught(volume, labels, classes, axis)
    teaching, judging = split(item, settings.validation, settings.gap, len(classes))
    return Lessons([teaching], [judging], classes, axis, f"painted: {volume.source.name}")


def lessons_of_many(
    teaching: Iterable[tuple[Volume, Labels]],
    judging: Iterable[tuple[Volume, Labels]],
    settings: TrainSegmentation,
    origin: str,
    seeds: tuple[int, ...] = (),
) -> Lessons:
    """What pairs of whole volumes and labels teach, such as simulated ones; others judge."""
    axis: AxisName = "y" if settings.axis == "auto" else settings.axis
    parts: list[list[Taught]] = []
    classes: tuple[LabelClass, ...] = ()
    for pairs in (teaching, judging):
        items = []
        for volume, labels in pairs:
            classes = classes or classes_of(labels)
            items.append(taught(volume, labels, classes, axis))
        parts.append(items)
    if not all(parts):
        raise UserError("No volumes were given to train a network on, or none to judge it by.")
    return Lessons(parts[0], parts[1], classes, axis, origin, seeds)


def train_on(
    lessons: Lessons,
    settings: TrainSegmentation,
    folder: Path,
    report: Report,
    shelf: Path | None = None,
    resume: bool = False,
    checkpoint_s: float = 60.0,
) -> Model:
    """Train on lessons; see :func:`train_segmentation`."""
    shelf = shelf or folder
    settings = _as_begun(settings, report)
    run_start.check_start(folder, shelf, settings, settings.name, LASTING, resume=resume)
    workers = Workers.join()
    device = devices.choose(settings.device, report)
    course = SegmentationCourse(
        lessons.teaching, lessons.judging, lessons.names, settings, device, report, rank=workers.rank
    )
    module = _first_weights(settings, len(lessons.classes)).to(device)
    report.log(f"{settings.name}: {TITLES[settings.architecture]}, {settings.dimensions} across {lessons.axis}, "
               f"on {report.facts.device}")  # fmt: skip
    if workers.first:
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "device": report.facts.device, "processes": workers.count, "axis": lessons.axis, "origin": lessons.origin,
            "classes": [each.to_json() for each in lessons.classes], "seeds": list(lessons.seeds),
        }  # fmt: skip
        run_folder.begin(folder, settings, facts)
    try:
        train(module, course, plan_of(settings, checkpoint_s), folder, report)
    finally:
        workers.leave()
    if not workers.first:
        return Model(_card(settings, folder, {}), shelf / f"{settings.name}.json", "file")
    told = judge(
        module, lessons.teaching, lessons.judging, lessons.classes, lessons.axis, settings, device, report
    )  # fmt: skip
    write_text(folder / REPORT, json.dumps(told, indent=2) + "\n")
    return save_model(shelf, module.float(), _card(settings, folder, told), overwrite=resume)


def keep_segmentation(folder: Path, report: Report, *, shelf: Path | None = None) -> Model:
    """Save the best network so far of a run that was stopped, as :func:`train_segmentation` does at its end.

    Raises UserError where the folder holds no run, the run no weights yet, or the name is taken.
    """
    settings = run_folder.settings_of(folder, TrainSegmentation)
    shelf = shelf or folder
    run_start.check_name(settings.name, shelf, overwrite=False)
    module = new_network(settings, len(run_folder.facts_of(folder)["classes"]))
    module.load_state_dict(checkpoint.averaged_weights(folder))
    model = save_model(shelf, module.eval(), _card(settings, folder, {}))
    report.progress(1.0)
    return model


def new_network(settings: TrainSegmentation, classes: int) -> nn.Module:
    """A network with random weights from the seed, channels last; torch's own random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = make_network(ARCHITECTURE, settings.options(classes))
    return channels_last(module)


def plan_of(settings: TrainSegmentation, checkpoint_s: float = 60.0) -> Plan:
    """How long and how."""
    minutes = settings.minutes or (0.0 if settings.steps else DEFAULT_MINUTES)
    return run_start.plan(
        settings.steps or 1, minutes, batch=settings.batch, learning_rate=settings.learning_rate, seed=settings.seed,
        patience=settings.patience, checkpoint_s=checkpoint_s,
    )  # fmt: skip


def _as_begun(settings: TrainSegmentation, report: Report) -> TrainSegmentation:
    """Settings with as many slices as the model looks at that training begins with; the report tells of a change."""
    if settings.start_from is None or settings.dimensions != "2.5d":
        return settings
    channels = find_model(settings.start_from).card.input.channels
    if channels in (1, settings.neighbours):
        return settings
    report.note(f"The network looks at {channels} slices, as the model does that it begins with.")
    return settings.model_copy(update={"slices": channels})


def _first_weights(settings: TrainSegmentation, classes: int) -> nn.Module:
    """The network as training begins: random, or with a model's weights.

    A model of the same network with other classes gives all but its last layer. UserError if it is another network.
    """
    if settings.start_from is None:
        return new_network(settings, classes)
    begun, card = load_model(settings.start_from)
    options = settings.options(classes)
    same = {name: value for name, value in options.items() if name != "classes"}
    theirs = {name: value for name, value in card.architecture.options.items() if name != "classes"}
    if card.architecture.name != ARCHITECTURE or theirs != same:
        raise UserError(
            f"Training cannot start from {card.name!r}, which is another network than the {settings.dimensions} "
            f"{settings.architecture} of size {settings.size}; choose what it is, or another model."
        )
    if card.architecture.options.get("classes") == classes:
        return begun
    module = new_network(settings, classes)
    kept = {name: value for name, value in begun.state_dict().items() if not name.startswith("head.")}
    module.load_state_dict({**module.state_dict(), **kept})
    return module


def _card(settings: TrainSegmentation, folder: Path, told: dict[str, Any]) -> ModelCard:
    """Card of the network that the run of a folder has given, from what the run noted and what it was judged."""
    entries, facts = read_log(folder), run_folder.facts_of(folder)
    classes = [LabelClass.from_json(each) for each in facts["classes"]]
    return ModelCard(
        name=settings.name,
        title=f"{TITLES[settings.architecture]}, {settings.dimensions}: {', '.join(c.name for c in classes)}"[:120],
        task="segmentation",
        architecture=Architecture(name=ARCHITECTURE, options=settings.options(len(classes))),
        input=Input(normalisation=NORMALISATION, channels=settings.neighbours),
        outputs=tuple(Output(name=f"class-{c.value}", meaning=f"Logit of {c.name}.") for c in classes),
        segmentation=Segmented(
            axis=facts["axis"], patch_px=settings.patch_px,
            classes=tuple(CardClass(value=c.value, name=c.name, colour=c.colour) for c in classes),
        ),
        training=Training(
            preset=f"{facts['origin']}; loss {settings.loss}, seed {settings.seed}",
            simulator_version=facts["origin"], seeds=tuple(facts["seeds"]),
            device=str(facts.get("device", "not known")),
            **run_start.told(folder, settings.start_from),
        ),
        figures=_figures(told, entries), known_limits=LIMITS, licence=LICENCE, created=datetime.now(UTC).date(),
    )  # fmt: skip


def _figures(told: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, int | float | str]:
    """Figures of the card: of the report, or, where the run was stopped, of the best validation."""
    if told:
        figures = {
            f"{what.replace('_', ' ')}, {name}": round(value, 5)
            for name, table in told["classes"].items()
            for what, value in table.items()
            if value is not None
        }
        baselines = {
            f"dice of {words}, {name}": round(table["dice"], 5)
            for words, kind in (("thresholds", "otsu"), ("a random forest", "forest"))
            for name, table in told["baselines"][kind]["classes"].items()
            if table["dice"] is not None
        }
        return figures | baselines
    _, best = min(validations(entries), key=lambda each: each[1]["loss"], default=(0, {}))
    return {f"validation {name.replace('_', ' ')}": round(value, 5) for name, value in best.items()}
