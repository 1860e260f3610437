"""From settings to a model with its card: training the column network, for the command line and the window alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atomseg_app import devices
from atomseg_app.errors import UserError
from atomseg_app.networks import checkpoint, run_folder, run_start
from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.card import Input, Model, ModelCard, Output, Training
from atomseg_app.networks.column_settings import DEFAULT_STEPS, LASTING, NETWORKS, TrainColumns
from atomseg_app.networks.column_training import ColumnCourse, column_seeds
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.networks.mask_training import MASK, MaskCourse
from atomseg_app.networks.store import load_model, save_model
from atomseg_app.networks.training import Plan, train
from atomseg_app.networks.training_log import read_log, validations
from atomseg_app.networks.workers import Workers
from atomseg_app.operations import Report
from atomseg_app.simulate.crystals import structures
from atomseg_app.simulate.preset import PRESETS, VERSION

ARCHITECTURE = "atomseg-columns"
LICENCE = "GPL-3.0-or-later"
LIMITS = (
    "Trained on simulated pictures alone: probe, scan and detector are models, and projection takes the place of "
    "multiple scattering.",
    "Columns below a matched-filter signal-to-noise of about 4 are not to be expected.",
    "Columns nearer to each other than the full width at half maximum of their image are taken as one.",
)
MASK_LIMITS = (
    "Kept to compare with: it gives a mask, in which columns are then located, and it sees only columns as wide "
    "as those it was trained on.",
    *LIMITS,
)
_MEANINGS = {
    "heat": ("Logit of the probability that a column stands here.", ""),
    "offset_x": ("From the pixel to the column, right.", "px"),
    "offset_y": ("From the pixel to the column, down.", "px"),
    "log_sd": ("Logarithm of the standard deviation of the offset, per axis.", "ln px"),
    "amplitude": ("Height of the column over its background, in units of the normalised input.", ""),
    "circle": ("Logit of the circular mask.", ""),
    "gaussian": ("Gaussian mask, 1 at a column.", ""),
    "denoised": ("The picture without noise, normalised as the input.", ""),
    "background_free": ("The columns without noise and background, in units of the normalised input.", ""),
    "mask": ("Circular mask, 1 in columns: within the half maximum of their image.", ""),
    "super_resolved": ("The same through a probe of half the width.", ""),
}


def train_columns(
    settings: TrainColumns,
    folder: Path,
    report: Report,
    *,
    shelf: Path | None = None,
    resume: bool = False,
    checkpoint_s: float = 120.0,
) -> Model:
    """Train a column network in ``folder`` and save it in ``shelf`` (default: the same folder).

    ``resume`` goes on from the folder's checkpoint. Cancelling keeps the checkpoint and raises Cancelled. Under
    ``torchrun`` all processes train together and the first one saves. Raises UserError where the folder holds another
    run, the name is taken, or training diverges.
    """
    shelf = shelf or folder
    run_start.check_start(folder, shelf, settings, settings.name, LASTING, resume=resume)
    workers = Workers.join()
    device = devices.choose(settings.device, report)
    preset = replace(PRESETS[settings.preset], size_px=settings.picture_px)
    report.log(f"{settings.name}: pictures of preset {settings.preset}, on {report.facts.device}")
    taught = MaskCourse if _masks(settings.network) else ColumnCourse
    course = taught(preset, settings.seed, device, rank=workers.rank, report=report)
    module = _first_weights(settings).to(device)
    if workers.first:
        if not resume:
            folder.mkdir(parents=True, exist_ok=True)
        run_folder.begin(folder, settings, {"device": report.facts.device, "processes": workers.count})
    try:
        train(module, course, plan_of(settings, checkpoint_s), folder, report)
    finally:
        workers.leave()
    if not workers.first:
        return Model(_card(settings, folder), shelf / f"{settings.name}.json", "file")
    return save_model(shelf, module.float(), _card(settings, folder), overwrite=resume)


def keep_columns(folder: Path, report: Report, *, shelf: Path | None = None) -> Model:
    """Save the best network so far of a run that was stopped, as :func:`train_columns` does at its end.

    Raises UserError where the folder holds no run, the run no weights yet, or the name is taken.
    """
    settings = run_folder.settings_of(folder, TrainColumns)
    shelf = shelf or folder
    run_start.check_name(settings.name, shelf, overwrite=False)
    module = new_network(settings.network, settings.seed)
    module.load_state_dict(checkpoint.averaged_weights(folder))
    model = save_model(shelf, module.eval(), _card(settings, folder))
    report.progress(1.0)
    return model


def _first_weights(settings: TrainColumns) -> nn.Module:
    """The network as training begins: random, or with a model's weights. UserError if that is of another kind."""
    if settings.start_from is None:
        return new_network(settings.network, settings.seed)
    module, card = load_model(settings.start_from)
    if card.architecture != NETWORKS[settings.network]:
        raise UserError(
            f"Training cannot start from {card.name!r}, which is not of the {settings.network} column network; "
            "choose the network that it is of, or another model."
        )
    return module


def new_network(network: str, seed: int) -> nn.Module:
    """A column network with random weights from a seed, channels last; torch's own random numbers stay as they are."""
    made = NETWORKS[network]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make_network(made.name, made.options)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def plan_of(settings: TrainColumns, checkpoint_s: float = 120.0) -> Plan:
    """How long and how."""
    return run_start.plan(
        settings.steps or DEFAULT_STEPS, settings.minutes or 0.0, batch=settings.batch,
        learning_rate=settings.learning_rate, seed=settings.seed, patience=settings.patience, checkpoint_s=checkpoint_s,
    )  # fmt: skip


def _card(settings: TrainColumns, folder: Path) -> ModelCard:
    """Card of the network that the run of a folder has given, from what the run noted."""
    entries, facts = read_log(folder), run_folder.facts_of(folder)
    found = validations(entries)
    best_step, best = min(found, key=lambda each: each[1]["loss"], default=(0, {}))
    preset, masks = PRESETS[settings.preset], _masks(settings.network)
    figures: dict[str, Any] = {_figure(name): round(value, 5) for name, value in best.items()}
    if best:
        figures["step of these figures"] = best_step
    return ModelCard(
        name=settings.name,
        title=f"{'Masks of columns' if masks else 'Columns'}, {settings.network} network, {settings.preset} pictures",
        task="masks" if masks else "columns",
        architecture=NETWORKS[settings.network],
        input=Input(
            normalisation="zero-to-one" if masks else "mean-and-sd", column_sigma_px=preset.sigma_px
        ),
        outputs=tuple(
            Output(name=name, meaning=_MEANINGS[name][0], unit=_MEANINGS[name][1])
            for name in (MASK if masks else CHANNELS)
        ),
        training=Training(
            preset=settings.preset, simulator_version=str(VERSION),
            seeds=column_seeds(settings.seed, int(facts.get("processes", 1))),
            held_out=() if preset.held_out else tuple(one.name for one in structures() if one.held_out),
            device=str(facts.get("device", "not known")),
            **run_start.told(folder, settings.start_from),
        ),
        figures=figures, known_limits=MASK_LIMITS if masks else LIMITS, licence=LICENCE,
        created=datetime.now(UTC).date(),
    )  # fmt: skip


def _figure(name: str) -> str:
    """Name of a validation figure on the card."""
    return "denoising, gain (dB)" if name == "gain_db" else f"validation {name.replace('_', ' ')}"


def _masks(network: str) -> bool:
    """Whether a network gives a mask alone."""
    return NETWORKS[network].name != ARCHITECTURE
