"""Model cards: what a network is, was trained on and can do; read and listed without torch, also by the window.

A model is two files of one name in one folder: ``NAME.safetensors`` holds the weights, ``NAME.json`` the card.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from atomseg_app import places
from atomseg_app.errors import FileError, UserError

LARGEST_CARD = 1 << 20
"""Bytes a card may have."""
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

Task = Literal["columns", "masks", "wedge", "segmentation"]
Origin = Literal["bundled", "yours", "file"]
Text = Annotated[str, Field(max_length=4000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class CardPart(BaseModel):
    """Base of the card and its parts: immutable; a field this version does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Architecture(CardPart):
    """Which of the program's networks it is (``architectures.py``), and the keyword arguments that make it."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    options: dict[str, JsonValue] = {}


class Input(CardPart):
    """What the network expects of an image."""

    normalisation: Annotated[str, Field(pattern=NAME_PATTERN, description="Name of the grey-level convention.")]
    column_sigma_px: Annotated[
        tuple[Number, Number] | None,
        Field(description="Column widths (rms, px) it was trained on, least and greatest; None: any."),
    ] = None
    channels: Annotated[int, Field(ge=1, le=64)] = 1


class Output(CardPart):
    """One output channel, in the order of the network's answer."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    meaning: Text
    unit: Text = ""


class CardClass(CardPart):
    """One class of a segmentation: value of its voxels, name, colour (#rrggbb)."""

    value: Annotated[int, Field(ge=0, le=254)]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class Segmented(CardPart):
    """What a segmentation network gives, class by class in the order of its answer, and how a volume is shown to it.

    ``axis`` is the direction across its slices; ``patch_px`` the side of the pieces that it was taught.
    """

    axis: Literal["z", "y", "x"]
    classes: Annotated[tuple[CardClass, ...], Field(min_length=2, max_length=32)]
    patch_px: Annotated[int, Field(ge=8, le=4096)]


class Training(CardPart):
    """What it was trained on, and for how long; ``..._before``: what the model had seen that training began with.

    ``loss_curve``: hours in all and validation loss, in order.
    """

    preset: Text
    simulator_version: Text
    seeds: tuple[int, ...]
    held_out: tuple[str, ...] = ()
    steps: Annotated[int, Field(ge=0)]
    samples: Annotated[int, Field(ge=0)]
    device: Text
    hours: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    converged: bool
    convergence_note: Text
    adapted_from: Text | None = None
    samples_before: Annotated[int, Field(ge=0)] = 0
    hours_before: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    loss_curve: tuple[tuple[float, float], ...] = ()

    def losses(self, most: int) -> str:
        """Validation loss after so many hours, at most so many of them, in words; empty where none is known."""
        count = len(self.loss_curve)
        places = range(count) if count <= most else (round(k * (count - 1) / (most - 1)) for k in range(most))
        return ", ".join(f"{loss:.4g} after {hours:.2g} h" for hours, loss in map(self.loss_curve.__getitem__, places))

    @property
    def samples_in_all(self) -> int:
        """Samples of this training and of those before it."""
        return self.samples_before + self.samples

    @property
    def hours_in_all(self) -> float:
        """Hours of this training and of those before it."""
        return self.hours_before + self.hours


class ModelCard(CardPart):
    """The card of one model; ``sha256`` is that of its weights file, empty until it is saved."""

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    title: Annotated[str, Field(min_length=1, max_length=120)]
    task: Task
    architecture: Architecture
    parameters: Annotated[int, Field(ge=0)] = 0
    input: Input
    outputs: Annotated[tuple[Output, ...], Field(min_length=1)]
    segmentation: Segmented | None = None
    training: Training
    figures: dict[str, int | Number | str]
    known_limits: tuple[str, ...]
    licence: Annotated[str, Field(min_length=1, max_length=200)]
    created: date
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


@dataclass(frozen=True)
class Model:
    """A model on disk: its card, where that lies, and whose it is."""

    card: ModelCard
    card_path: Path
    origin: Origin

    @property
    def weights_path(self) -> Path:
        """File of the weights, beside the card."""
        return self.card_path.with_suffix(".safetensors")


def bundled_folder() -> Path:
    """Folder of the models that come with the program."""
    return places.resources_folder() / "models"


def user_folder() -> Path:
    """Folder of the user's own models; it may not be there yet."""
    return places.data_folder() / "models"


def list_models(task: Task | None = None) -> list[Model]:
    """Models of a task (all without one), the bundled first, by name; those of :func:`broken_models` are left out."""
    found = [item for item in _installed() if isinstance(item, Model)]
    return [model for model in found if task is None or model.card.task == task]


def broken_models() -> list[str]:
    """For each installed card that cannot be used, the sentence that says why."""
    return [str(item) for item in _installed() if isinstance(item, UserError)]


def find_model(name: str | os.PathLike[str]) -> Model:
    """Model of a name, or of a path to its card, to its weights, or to a folder that holds one model.

    A name is looked for among the bundled models, then among the user's own. Raises UserError if there is none.
    """
    text = os.fspath(name)
    if re.fullmatch(NAME_PATTERN, text) and not text.endswith((".json", ".safetensors")):
        for folder, origin in _shelves():
            if (folder / f"{text}.json").is_file():
                return _model(folder / f"{text}.json", origin)
    path = Path(text)
    if path.is_dir():
        cards = sorted(path.glob("*.json"))
        # A run's folder holds other JSON files, too.
        cards = [card for card in cards if card.with_suffix(".safetensors").is_file()] or cards
        if len(cards) != 1:
            listed = f": {', '.join(card.stem for card in cards[:8])}; name one of the files" if cards else ""
            raise UserError(f"The folder {path} holds {len(cards)} model cards (NAME.json) instead of one{listed}.")
        return _model(cards[0], "file")
    if path.suffix in (".json", ".safetensors") and path.is_file():
        return _model(path.with_suffix(".json"), "file")
    known = ", ".join(model.card.name for model in list_models()) or "none is installed"
    raise UserError(f"There is no model {text!r}: neither among the installed ones ({known}) nor as a file or folder.")


def read_card(path: Path) -> ModelCard:
    """Card from a JSON file. Raises FileError in one sentence if it is absent, too large, or no card."""
    try:
        card = ModelCard.model_validate_json(read_bounded(path, LARGEST_CARD, "model card"))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise FileError(f"{path} is no model card that this version can read: {where}: {first['msg']}.") from None
    if card.name != path.stem:
        raise FileError(
            f"The model card {path} is that of a model named {card.name!r}; give it and its weights that name again."
        )
    return card


def read_bounded(path: Path, largest: int, what: str) -> bytes:
    """All bytes of an ordinary file of at most so many. Raises FileError, before memory is taken, if it is not one."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise FileError(f"{path} is no ordinary file, so no {what} is read from it.")
        if facts.st_size <= largest:
            with path.open("rb") as stream:
                content = stream.read(largest + 1)
            if len(content) <= largest:
                return content
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise FileError(f"The {what} {path} cannot be read: {reason}.") from None
    raise FileError(f"{path} is larger than a {what} can be (at most {largest >> 20} MiB).")


def _shelves() -> Iterator[tuple[Path, Origin]]:
    yield bundled_folder(), "bundled"
    yield user_folder(), "yours"


def _installed() -> Iterator[Model | UserError]:
    """Every installed model, or why its card cannot be used."""
    for folder, origin in _shelves():
        for path in sorted(folder.glob("*.json")):
            yield _model_or_problem(path, origin)


def _model_or_problem(card_path: Path, origin: Origin) -> Model | UserError:
    try:
        return _model(card_path, origin)
    except UserError as problem:
        return problem


def _model(card_path: Path, origin: Origin) -> Model:
    model = Model(read_card(card_path), card_path, origin)
    if not model.card.sha256:
        raise FileError(f"The model card {card_path} names no checksum of its weights; save the model again.")
    if not model.weights_path.is_file():
        raise FileError(f"The weights of the model card {card_path} are missing: {model.weights_path.name} beside it.")
    return model
