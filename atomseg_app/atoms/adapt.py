"""*Adapt to this image*: a column network taught look-alikes of one image, kept only where that made it better."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from atomseg_app import devices
from atomseg_app.atoms.adapt_course import F1_MARGIN, LARGEST_LOSS, LEAST_GAIN, SEEDS_APART, AdaptCourse, Validation
from atomseg_app.atoms.adapt_settings import AdaptColumns
from atomseg_app.atoms.appearance import Appearance, appearance_of
from atomseg_app.atoms.find import find_columns
from atomseg_app.atoms.operations import FindColumns
from atomseg_app.atoms.own_sampling import OwnSampling
from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.networks.card import Model, ModelCard, find_model, list_models
from atomseg_app.networks.checkpoint import Progress
from atomseg_app.networks.column_model import ARCHITECTURE
from atomseg_app.networks.store import load_model, save_model
from atomseg_app.networks.training import Plan, train
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import VERSION

_MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class Adapted:
    """What adapting gave: ``model`` is None where it was not better, ``verdict`` says why in one sentence.

    ``before`` and ``after`` are the columns that the two networks and the fit find in the image; the validations are
    on pictures that neither was trained on. ``appearance`` is what was measured of the image, in recorded pixels.
    """

    model: Model | None
    verdict: str
    before: Columns
    after: Columns
    validation_before: Validation
    validation_after: Validation
    appearance: Appearance


def adapt(image: Image, columns: Columns | None, settings: AdaptColumns, folder: Path, report: Report) -> Adapted:
    """Adapt a network to an image for some minutes and save it in ``folder`` if it is better, else nothing.

    ``columns`` are those the image has (default: what the network and the fit find); from them and the noise,
    look-alikes are simulated. Better means: look-alikes validate better, and pictures of the default preset not worse
    by more than :data:`~atomseg_app.atoms.adapt_course.LARGEST_LOSS`. Cancelling raises Cancelled and leaves nothing.
    Raises UserError for a model of another kind, a name that is taken, or too few columns.
    """
    base = find_model(settings.model)
    _check(base, settings.name, folder)
    device = devices.choose(settings.device, report)
    search = FindColumns(model=str(base.card_path), device=settings.device)
    before = find_columns(image, search, report.part(0.0, 0.1))
    look = _appearance(image, before if columns is None else columns, report)
    report.log(_told(look))
    module, _ = load_model(base, device)
    report.progress(0.1, "Simulating look-alikes")
    course = AdaptCourse(look, settings.seed, settings.picture_px, device, report)
    first = course.judge(module)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".adapting-") as scratch:
        progress = train(module, course, _plan(settings), Path(scratch) / "run", report.part(0.12, 0.88))
        report.progress(0.88, "Judging the adapted network")
        last = course.judge(module)
        verdict, better = _verdict(first, last)
        card = _card(base.card, settings, image, progress, report, first, last)
        trial = save_model(Path(scratch), module, card)
        narrowed = search.model_copy(update={"model": str(trial.card_path)})
        after = find_columns(image, narrowed, report.part(0.9, 1.0))
    counts: dict[str, int | float | str] = {
        "columns in the image, before": len(before),
        "columns in the image, after": len(after),
    }
    card = card.model_copy(update={"figures": {**card.figures, **counts}})
    model = save_model(folder, module, card) if better else None
    report.progress(1.0, verdict)
    return Adapted(model, verdict, before, after, first, last, look)


def _appearance(image: Image, columns: Columns, report: Report) -> Appearance:
    """Appearance of an image in the pixels of its recording: the noise of an enlarged one would look correlated."""
    own = OwnSampling.of(image)
    if not own.enlarged:
        return appearance_of(image, columns)
    own.tell(report)
    recorded = own.recorded(image)
    return appearance_of(
        recorded, replace(columns, table=own.in_own(columns.table), pixel_size_nm=recorded.pixel_size_nm)
    )


def keep(adapted: Adapted, shelf: Path) -> Model:
    """Copy an adapted network to another folder, such as the user's. Raises UserError where there is none to keep, or
    its name is taken there."""
    if adapted.model is None:
        raise UserError(f"There is no adapted network to keep: {adapted.verdict}")
    module, card = load_model(adapted.model)
    return save_model(shelf, module, card)


def _check(base: Model, name: str, folder: Path) -> None:
    """Refuse before the work what would fail after it."""
    if base.card.architecture.name != ARCHITECTURE:
        raise UserError(
            f"The model {base.card.name!r} is no column network and cannot be adapted; 'atomseg models' lists those "
            "there are."
        )
    taken = any((folder / f"{name}.{ending}").exists() for ending in ("json", "safetensors"))
    if taken or name in {model.card.name for model in list_models() if model.origin == "bundled"}:
        raise UserError(f"There is already a model {name!r}; choose another name.")


def _plan(settings: AdaptColumns) -> Plan:
    """Small steps, falling to nothing over the second half; validated often enough to stop where it was best."""
    return Plan(
        steps=_MOST_STEPS, batch=settings.batch, learning_rate=settings.learning_rate, warmup=20, decay=0.5,
        seed=settings.seed, validate_every=50, checkpoint_s=3600.0, minutes=settings.minutes, log_every=10,
    )  # fmt: skip


def _verdict(before: Validation, after: Validation) -> tuple[str, bool]:
    """Whether the adapted network is better, in a sentence."""
    gain = before.look_alike_loss - after.look_alike_loss
    lost = after.default_loss - before.default_loss
    if gain < LEAST_GAIN:
        return f"Not adapted: look-alikes of this image are seen no better (loss better by {gain:.4f} only).", False
    if lost > LARGEST_LOSS:
        return f"Not adapted: other images would be seen worse (loss higher by {lost:.4f}).", False
    for kind, was, now in (
        ("look-alikes of this image", before.look_alike_f1, after.look_alike_f1),
        ("other images", before.default_f1, after.default_f1),
    ):
        if now < was - F1_MARGIN:
            return f"Not adapted: columns of {kind} would be found worse (F1 from {was:.4f} to {now:.4f}).", False
    return (
        f"Adapted: F1 on look-alikes of this image from {before.look_alike_f1:.4f} to {after.look_alike_f1:.4f}, "
        f"on other pictures from {before.default_f1:.4f} to {after.default_f1:.4f}."
    ), True


def _card(
    base: ModelCard, settings: AdaptColumns, image: Image, progress: Progress, report: Report,
    before: Validation, after: Validation,
) -> ModelCard:  # fmt: skip
    """Card of the adapted network: that of the one it came from, with what was done to it."""
    name = image.source.name
    figures: dict[str, int | float | str] = {}
    for when, validation in (("before", before), ("after", after)):
        figures |= {f"{key.replace('_', ' ')}, {when}": value for key, value in validation.to_json().items()}
    training = base.training.model_copy(
        update={
            "preset": f"{base.training.preset}, and look-alikes of {name}",
            "simulator_version": str(VERSION),
            "seeds": tuple(start + settings.seed for start in (0, 1, 2, SEEDS_APART, SEEDS_APART + 1, SEEDS_APART + 2)),
            "steps": progress.step, "samples": progress.samples, "device": report.facts.device,
            "hours": round(progress.seconds / 3600, 4), "converged": False,
            "convergence_note": f"Adapted for {settings.minutes:g} min from {base.name!r}; not trained until flat.",
            "adapted_from": f"{base.name} ({base.sha256})",
        }
    )  # fmt: skip
    changes = {
        "name": settings.name, "title": f"{base.title[:60]}, adapted to {name[:40]}", "training": training,
        "figures": figures, "created": datetime.now(UTC).date(), "sha256": "",
        "known_limits": (*base.known_limits, f"Adapted to {name}; for other images take {base.name!r}."),
    }  # fmt: skip
    return base.model_copy(update=changes)


def _told(look: Appearance) -> str:
    """What was measured, for the log."""
    return (
        f"{len(look.x_px)} {'dark' if look.dark else 'bright'} columns {look.sigma_px:.2f} px wide (rms) and "
        f"{look.spacing_px:.1f} px apart, {look.dose:.3g} counts a peak over a background of {look.background:.2g} "
        f"peaks, lines displaced by {look.jitter_px:.2f} px."
    )
