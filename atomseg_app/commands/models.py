"""``atomseg models``: the installed networks as a list, or the card of one in full; for people or as JSON."""

from __future__ import annotations

import json

import typer

from atomseg_app.networks.card import Model, ModelCard, broken_models, find_model, list_models
from atomseg_app.simulate.preset import told_version

_HEADER = ("name", "task", "title", "from", "parameters", "MB", "F1")


def print_models(name: str | None, *, as_json: bool) -> int:
    """Print every installed model, or the card of one (name, card, weights or folder); 1 if a card is broken."""
    if name is not None:
        model = find_model(name)
        typer.echo(model.card.model_dump_json(indent=2) if as_json else _in_full(model))
        return 0
    models, problems = list_models(), broken_models()
    if as_json:
        listed = [{"from": model.origin, **model.card.model_dump(mode="json")} for model in models]
        typer.echo(json.dumps({"models": listed, "problems": problems}, indent=2))
    elif models:
        typer.echo(_table([_HEADER, *(_row(model) for model in models)]))
    else:
        typer.echo("No models are installed.")
    for problem in problems:
        typer.echo(f"atomseg: {problem}", err=True)
    return 1 if problems else 0


def _row(model: Model) -> tuple[str, ...]:
    card = model.card
    f1 = card.figures.get("F1")
    size = f"{model.weights_path.stat().st_size / 1e6:.1f}"
    return card.name, card.task, card.title, model.origin, f"{card.parameters:,}", size, "" if f1 is None else str(f1)


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _in_full(model: Model) -> str:
    """Every field of the card in words, one a line."""
    card, training = model.card, model.card.training
    options = ", ".join(f"{name} = {value}" for name, value in card.architecture.options.items())
    facts = [
        ("Task", card.task),
        ("Network", f"{card.architecture.name}{f' ({options})' if options else ''}, {card.parameters:,} parameters"),
        ("Input", _input(card)),
        ("Outputs", ""),
        *(("", f"{out.name}{f' ({out.unit})' if out.unit else ''}: {out.meaning}") for out in card.outputs),
        ("Trained on", f"{training.preset}, simulator {told_version(training.simulator_version)}"),
        ("Seeds", ", ".join(map(str, training.seeds)) or "none"),
        ("Held out", ", ".join(training.held_out) or "nothing"),
        (
            "Training",
            f"{training.steps:,} steps, {training.samples:,} samples, {training.hours:g} h on {training.device}",
        ),
        *(
            [("In all", f"{training.samples_in_all:,} samples, {training.hours_in_all:.4g} h, with what it began from")]
            if training.samples_before
            else []
        ),
        ("Converged", f"{'yes' if training.converged else 'no'}: {training.convergence_note}"),
        *([("Loss", training.losses(12))] if training.loss_curve else []),
        *([("Adapted from", training.adapted_from)] if training.adapted_from else []),
        ("Figures", "" if card.figures else "none"),
        *(("", f"{name}: {value}") for name, value in card.figures.items()),
        ("Known limits", "" if card.known_limits else "none noted"),
        *(("", limit) for limit in card.known_limits),
        ("Licence", card.licence),
        ("Created", card.created.isoformat()),
        ("Weights", f"{model.weights_path}, SHA-256 {card.sha256}"),
    ]
    lines = [f"{f'{label}:' if label else '':14}{text}".rstrip() for label, text in facts]
    return "\n".join([f"{card.title} ({card.name})", *lines])


def _input(card: ModelCard) -> str:
    widths = card.input.column_sigma_px
    columns = "columns of any width" if widths is None else f"columns {widths[0]:g} to {widths[1]:g} px wide (rms)"
    channels = f", {card.input.channels} channels" if card.input.channels > 1 else ""
    return f"grey levels as {card.input.normalisation}, {columns}{channels}"
