"""Command-line options made from parameter models: one option a field, with its sentence, unit, bounds and default."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, get_args, get_origin

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from atomseg_app.operations import Parameters

_SIGNS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}


def model_options(model: type[Parameters]) -> list[inspect.Parameter]:
    """Keyword parameters for a Typer command, one for each field of the model."""
    return [_option(name, field) for name, field in model.model_fields.items()]


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    kind = _typer_type(field.annotation)
    flag = "--" + name.replace("_", "-")
    names = [f"{flag}/--no-{flag[2:]}"] if kind is bool else [flag]
    option = typer.Option(*names, help=_help(field), show_default=field.default is not None)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, option]
    )


def _typer_type(annotation: Any) -> Any:
    """Type as Typer knows it: ``tuple[int, ...]`` becomes an option that may be repeated; None stays possible."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if len(parts) == 1 and type(None) in get_args(annotation):
        return _typer_type(parts[0]) | None
    if get_origin(annotation) is tuple and parts[-1] is Ellipsis:
        return list[parts[0]]  # type: ignore[valid-type]
    return annotation


def _help(field: FieldInfo) -> str:
    """The field's sentence, then its unit and bounds in parentheses."""
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    facts = [str(extra["unit"])] if extra.get("unit") else []
    for bound in field.metadata:
        if type(bound) in _SIGNS:
            sign, attribute = _SIGNS[type(bound)]
            facts.append(f"{sign} {getattr(bound, attribute)}")
    return f"{field.description}" + (f" ({', '.join(facts)})" if facts else "")
