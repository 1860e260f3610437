"""Maps that were computed from an image (strain, rotation): the name and unit of each layer, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from atomseg_app.data import Image
from atomseg_app.gui.atoms.quantities import Spread, measured
from atomseg_app.gui.image_view import SIGNED, VALUE_NAME, VALUE_UNIT


@dataclass(frozen=True)
class MapLayer:
    """One layer of a series of maps: title, unit in which it is shown, and the factor from the file's values."""

    title: str
    unit: str
    factor: float
    signed: bool


def layer_of(metadata: Mapping[str, Any], frame: int) -> MapLayer | None:
    """What a frame of a series shows; none where its metadata names no layers."""
    names = metadata.get("layers")
    if not isinstance(names, list | tuple) or not 0 <= frame < len(names):
        return None
    quantity = measured(str(names[frame]))
    units = metadata.get("units", ())
    unit = str(units[frame]) if frame < len(units) else ""
    of_strain = quantity.key.startswith("strain")
    return MapLayer(
        quantity.title, "%" if of_strain else unit, 100.0 if of_strain else 1.0, quantity.spread is Spread.SIGNED
    )  # fmt: skip


def displayed(image: Image) -> Image:
    """The image as it is shown: a layer of a map in its unit, its name told to the view; others as they are."""
    layer = layer_of(image.metadata, int(image.metadata.get("frame", 0)))
    if layer is None:
        return image
    values = image.values if layer.factor == 1 else np.asarray(image.values, np.float32) * np.float32(layer.factor)
    facts = {VALUE_NAME: layer.title, VALUE_UNIT: layer.unit, SIGNED: layer.signed}
    return replace(image, values=values, metadata={**image.metadata, **facts})
