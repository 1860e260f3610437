"""How a quantity of the columns becomes colours: values, limits, table of colours and what the colour bar says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Columns
from atomseg_app.gui.atoms.markers import MarkerStyle
from atomseg_app.gui.atoms.quantities import (
    MOST_KINDS,
    Floats,
    Quantity,
    Spread,
    available,
    colour_limits,
    kind_names,
    kinds_of,
)
from atomseg_app.gui.color_bar import ColourBar
from atomseg_app.gui.colour_maps import DIVERGING, marker_table

KIND_COLOURS: npt.NDArray[np.uint8] = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)], "u1"
)
"""Okabe and Ito's colours, told apart by colour-blind readers too; they begin again after the last."""

RISING_MAP = MarkerStyle().colour_map


@dataclass(frozen=True, eq=False)
class Colouring:
    """A quantity of some columns: values (n,), the limits in force, those that suit them, and the colours (m, 3)."""

    quantity: Quantity
    label: str
    values: Floats
    limits: tuple[float, float]
    automatic: tuple[float, float]
    colours: npt.NDArray[np.uint8]
    labels: tuple[tuple[float, str], ...] = ()

    @property
    def shades(self) -> Floats:
        """Places (n,) between the limits, 0 to 1 within them."""
        low, high = self.limits
        return np.asarray((self.values - low) / (high - low))

    @property
    def of_kinds(self) -> bool:
        """Whether the values are names of kinds, which have no limits."""
        return bool(self.labels)

    def bar(self) -> ColourBar | None:
        """Colour bar, or none where no value is known."""
        if not np.isfinite(self.values).any():
            return None
        return ColourBar(self.label, *self.limits, self.colours, self.labels)


def colouring(columns: Columns, style: MarkerStyle) -> Colouring | None:
    """Colours of columns in a style; none for one plain colour, or for a quantity that these columns do not have."""
    quantity = available(columns).get(style.quantity)
    if quantity is None:
        return None
    values, label = quantity.values(columns), quantity.label(columns)
    count = kinds_of(values) if quantity.spread is Spread.KINDS else 0
    if 0 < count <= MOST_KINDS:
        limits = (-0.5, count - 0.5)
        # Each kind fills an equal part of the table, so that any value within half of its number has its colour.
        colours = np.repeat(KIND_COLOURS[np.arange(count) % len(KIND_COLOURS)], 64, axis=0)
        labels = tuple((float(number), name) for number, name in enumerate(kind_names(quantity, count)))
        return Colouring(quantity, label, values, limits, limits, colours, labels)
    automatic = colour_limits(values, quantity.spread)
    return Colouring(
        quantity, label, values, style.limits or automatic, automatic, marker_table(style.colour_map)
    )  # fmt: skip


def with_quantity(style: MarkerStyle, key: str, quantity: Quantity | None) -> MarkerStyle:
    """The style for another quantity: automatic limits, and a map that suits values of either sign, or of one."""
    signed = quantity is not None and quantity.spread is Spread.SIGNED
    colour_map = style.colour_map
    if signed:
        colour_map = DIVERGING
    elif colour_map == DIVERGING:
        colour_map = RISING_MAP
    return replace(style, quantity=key, colour_map=colour_map, limits=None)
