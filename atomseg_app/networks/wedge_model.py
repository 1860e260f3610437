"""From settings to a model with its card: training a wedge network, for the command line and the window alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from atomseg_app import devices
from atomseg_app.errors import UserError
from atomseg_app.networks import checkpoint, run_folder, run_start
from atomseg_app.networks.adversarial import Adversaries
from atomseg_app.networks.architectures import make_network
from atomseg_app.networks.card import Architecture, Input, Model, ModelCard, Output, Training
from atomseg_app.networks.store import load_model, save_model
from atomseg_app.networks.training import Plan, train
from atomseg_app.networks.training_log import read_log, validations
from atomseg_app.networks.wedge_settings import LASTING, METHODS, TrainWedge
from atomseg_app.networks.wedge_training import WedgeCourse, wedge_seeds
from atomseg_app.networks.workers import Workers
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import WEDGE_VERSION
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_NOISY, WEDGE_TRAINING, WedgePreset

LICENCE = "GPL-3.0-or-later"
LIMITS = (
    "Trained on simulated slices alone, whole within the field of view; nothing enters it at high tilts.",
    "What the views do not tell is inferred from the families of objects that it was trained on.",
    "Grey levels below 0 are taken as 0.",
    "Slices are filled one by one.",
)
_OUTPUTS = {
    "slice": Output(name="slice", meaning="The slice as all views together would show it.", unit="grey level"),
    "views": Output(name="views", meaning="The views without counting noise.", unit="grey level times voxels"),
}
_FIGURES = {"loss": "validation loss", "psnr_db": "PSNR (dB)", "ssim": "SSIM"}


def train_wedge(
    settings: TrainWedge,
    folder: Path,
    report: Report,
    *,
    shelf: Path | None = None,
    resume: bool = False,
    checkpoint_s: float = 120.0,
) -> Model:
    """Train a wedge network in ``folder`` and save it in ``shelf`` (default: the same folder).

    ``resume`` goes on from the folder's checkpoint. Cancelling keeps the checkpoint and raises Cancelled. Under
    ``torchrun`` all processes train together and the first one saves. Raises UserError where the folder holds another
    run, the name is taken, or training diverges.
    """
    shelf = shelf or folder
    run_start.check_start(folder, shelf, settings, settings.name, LASTING, resume=resume)
    workers = Workers.join()
    device = devices.choose(settings.device, report)
    report.log(f"{settings.name}: method {settings.preset}, on {report.facts.device}")
    course = WedgeCourse(
        drawn_from(settings), settings.seed, device, rank=workers.rank, report=report, adversarial=settings.adversarial
    )
    network = _first_weights(settings)
    module = (_with_critic(network, settings.seed) if settings.adversarial else network).to(device)
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
    return save_model(shelf, network.float(), _card(settings, folder), overwrite=resume)


def keep_wedge(folder: Path, report: Report, *, shelf: Path | None = None) -> Model:
    """Save the best network so far of a run that was stopped, as :func:`train_wedge` does at its end.

    Raises UserError where the folder holds no run, the run no weights yet, or the name is taken.
    """
    settings = run_folder.settings_of(folder, TrainWedge)
    shelf = shelf or folder
    run_start.check_name(settings.name, shelf, overwrite=False)
    module = new_network(settings.preset, settings.seed)
    weights = checkpoint.averaged_weights(folder)
    if settings.adversarial:
        weights = {
            name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")
        }
    module.load_state_dict(weights)
    model = save_model(shelf, module.eval(), _card(settings, folder))
    report.progress(1.0)
    return model


def drawn_from(settings: TrainWedge) -> WedgePreset:
    """What slices and views are drawn from for a method."""
    preset = WEDGE_NOISY if METHODS[settings.preset].gives == "views" else WEDGE_TRAINING
    return replace(preset, size_px=settings.slice_px)


def new_network(method: str, seed: int) -> nn.Module:
    """A wedge network with random weights from a seed, channels last; torch's own random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make_network(METHODS[method].architecture, METHODS[method].options)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _with_critic(network: nn.Module, seed: int) -> nn.Module:
    """A network with a new critic from a seed; torch's own random numbers stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Adversaries(network)


def plan_of(settings: TrainWedge, checkpoint_s: float = 120.0) -> Plan:
    """How long and how."""
    return run_start.plan(
        settings.steps or METHODS[settings.preset].steps, settings.minutes or 0.0, batch=settings.batch,
        learning_rate=settings.learning_rate, seed=settings.seed, patience=settings.patience, checkpoint_s=checkpoint_s,
    )  # fmt: skip


def _first_weights(settings: TrainWedge) -> nn.Module:
    """The network as training begins: random, or with a model's weights. UserError if that is of another kind."""
    if settings.start_from is None:
        return new_network(settings.preset, settings.seed)
    module, card = load_model(settings.start_from)
    if card.architecture != _architecture(settings.preset):
        raise UserError(
            f"Training cannot start from {card.name!r}, which is not of the {settings.preset} wedge network; "
            "choose the preset that it is of, or another model."
        )
    return module


def _architecture(method: str) -> Architecture:
    return Architecture(name=METHODS[method].architecture, options=METHODS[method].options)


def _card(settings: TrainWedge, folder: Path) -> ModelCard:
    """Card of the network that the run of a folder has given, from what the run noted."""
    entries, facts = read_log(folder), run_folder.facts_of(folder)
    best_step, best = min(validations(entries), key=lambda each: each[1]["loss"], default=(0, {}))
    figures: dict[str, int | float | str] = {
        words: round(best[name], 5) for name, words in _FIGURES.items() if name in best
    }
    if best:
        figures["step of these figures"] = best_step
    return ModelCard(
        name=settings.name,
        title=METHODS[settings.preset].title,
        task="wedge",
        architecture=_architecture(settings.preset),
        input=Input(normalisation="brightest-voxels"),
        outputs=(_OUTPUTS[METHODS[settings.preset].gives],),
        training=Training(
            preset=settings.preset, simulator_version=f"wedge {WEDGE_VERSION}",
            seeds=wedge_seeds(settings.seed, int(facts.get("processes", 1))), held_out=HELD_OUT,
            device=str(facts.get("device", "not known")),
            **run_start.told(folder, settings.start_from),
        ),
        figures=figures, known_limits=LIMITS, licence=LICENCE, created=datetime.now(UTC).date(),
    )  # fmt: skip
