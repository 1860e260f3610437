"""What columns can be coloured, listed and plotted by: values, name and unit, in nm and pm if calibrated."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms.defect_operations import DEFECTS
from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.data import FLAG_VACANT, Columns

Floats = npt.NDArray[np.float64]

MOST_KINDS = 20  # more are drawn as numbers
_SHARE = 98  # percentile of the values at the ends of the colours


class Spread(enum.Enum):
    """How values are spread: from low to high, to both sides of zero, or as numbers that only name kinds."""

    RISING = "rising"
    SIGNED = "signed"
    KINDS = "kinds"


@dataclass(frozen=True)
class Quantity:
    """A number for each column: ``values(columns)`` is (n,) with NaN where not known; ``tip`` is one sentence."""

    key: str
    title: str
    values: Callable[[Columns], Floats]
    unit: Callable[[Columns], str]
    spread: Spread = Spread.RISING
    tip: str = "Measured from the columns."

    def label(self, columns: Columns) -> str:
        """Title with unit."""
        unit = self.unit(columns)
        return f"{self.title} ({unit})" if unit else self.title


def pixel_nm(columns: Columns) -> Floats:
    """Pixel size (x, y) in nm; NaN where not known."""
    return np.array([np.nan if size is None else size for size in columns.pixel_size_nm[::-1]])


def position_error(columns: Columns) -> Floats:
    """Root mean square of the errors along x and y, in pm if calibrated, else in px."""
    errors = np.stack([columns.table["x_err_px"], columns.table["y_err_px"]], axis=1)
    if columns.calibrated:
        errors = errors * pixel_nm(columns) * 1000
    error: Floats = np.sqrt((errors**2).mean(axis=1))
    return error


def nearest(columns: Columns) -> Floats:
    """Distance to the nearest column, in nm if calibrated, else in px; NaN for a column that is alone.

    Vacant sites have no distance, and are no neighbours.
    """
    there = columns.table["flag"] != FLAG_VACANT
    present = columns if there.all() else Columns(columns.table[there], columns.image_shape, columns.pixel_size_nm)
    distance = np.full(len(columns), np.nan)
    distance[there] = nearest_px(present, pixel_nm(columns) if columns.calibrated else (1.0, 1.0))
    return np.where(np.isfinite(distance), distance, np.nan)


def _field(name: str, factor: float = 1.0) -> Callable[[Columns], Floats]:
    def values(columns: Columns) -> Floats:
        return np.asarray(columns.table[name].astype(float) * factor)

    return values


def _kind_of(name: str) -> Callable[[Columns], Floats]:
    """Whole numbers that name kinds: negative ones mean that none is known."""

    def values(columns: Columns) -> Floats:
        numbers = columns.table[name].astype(float)
        return np.where(numbers >= 0, numbers, np.nan)

    return values


def _fixed(unit: str) -> Callable[[Columns], str]:
    return lambda columns: unit


def _length(columns: Columns) -> str:
    return "nm" if columns.calibrated else "px"


def _error(columns: Columns) -> str:
    return "pm" if columns.calibrated else "px"


QUANTITIES = {
    quantity.key: quantity
    for quantity in (
        Quantity("position_error", "Position error", position_error, _error),
        Quantity("nearest", "Nearest neighbour", nearest, _length),
        Quantity("amplitude", "Amplitude", _field("amplitude"), _fixed("")),
        Quantity("background", "Background", _field("background"), _fixed("")),
        Quantity("integrated_intensity", "Integrated intensity", _field("integrated_intensity"), _fixed("")),
        Quantity("sigma_px", "Width σ", _field("sigma_px"), _fixed("px")),
        Quantity("ellipticity", "Ellipticity", _field("ellipticity"), _fixed("")),
        Quantity("angle_deg", "Angle of major axis", _field("angle_deg"), _fixed("°")),
        Quantity("probability", "Probability", _field("probability"), _fixed("")),
    )
}
"""Of every table, by key, the default first."""

_SUBLATTICE = Quantity(
    "sublattice", "Sublattice", _kind_of("sublattice"), _fixed(""), Spread.KINDS,
    "Which of the columns of a cell this is: 0 is the brightest.",
)  # fmt: skip

_TITLES = {
    "strain_xx": "Strain εxx", "strain_yy": "Strain εyy", "strain_xy": "Strain εxy",
    "polar_px": "Polar shift", "polar_x_px": "Polar shift x", "polar_y_px": "Polar shift y",
    "polar_direction_deg": "Direction of the polar shift",
    "spacing_a_px": "Spacing along a", "spacing_b_px": "Spacing along b",
    "lattice_h": "Cell h", "lattice_k": "Cell k",
    "fit_intensity": "Intensity by fit", "cell_intensity": "Intensity of the cell",
    "intensity_ratio": "Intensity over that expected",
    "atoms": "Atoms in the column", "atoms_probability": "Probability of that count",
}  # fmt: skip
_TIPS = {
    "strain": "Stretch of the lattice round the column against the reference, x right and y down.",
    "rotation": "Turn of the lattice round the column against the reference, from x towards y.",
    "displacement": "How far the column lies from its place in the reference lattice.",
    "polar": "How far the column lies from the centre of its neighbours of another kind.",
    "spacing": "Mean distance to the neighbours along a lattice vector.",
    "grain": "Which crystal the column belongs to.",
    "lattice": "Cell of the crystal that the column belongs to.",
    "fit": "Volume of the fitted column, grey level of the file times px².",
    "cell": "Sum over the pixels nearest to the column, grey level of the file times px².",
    "intensity": "Intensity over that of columns like it round about.",
    "atoms": "From the distribution of the intensities, or a simulated library.",
    "defect": "From intensity and place, compared with columns like it round about.",
}  # fmt: skip
_SIGNED = ("strain", "rotation", "displacement", "polar_x", "polar_y", "defect_score")
_KINDS = ("grain", "defect")
_UNSIGNED = ("_err", "_err_px", "_err_deg")


def measured(name: str) -> Quantity:
    """A quantity that a table carries beyond those of every table: strain in %, shifts in pm, spacings in nm."""
    words = name.split("_")
    of_error = name.endswith(_UNSIGNED)
    title = _TITLES.get(name.replace("_err", ""), " ".join(w for w in words if w not in ("px", "deg", "err")))
    title = ("Error: " + title[:1].lower() + title[1:]) if of_error else title[:1].upper() + title[1:]
    tip = "One standard deviation." if of_error else _TIPS.get(words[0], "Measured from the columns.")
    spread = Spread.RISING
    if name in _KINDS:
        return Quantity(name, title, _kind_of(name), _fixed(""), Spread.KINDS, tip)
    if name.startswith(_SIGNED) and not of_error:
        spread = Spread.SIGNED
    if words[0] == "strain":
        return Quantity(name, title, _field(name, 100.0), _fixed("%"), spread, tip)
    if words[-1] == "deg":
        return Quantity(name, title, _field(name), _fixed("°"), spread, tip)
    if words[-1] == "px":
        in_nm = words[0] == "spacing" and not of_error
        values, unit = _lengths(name, "nm" if in_nm else "pm")
        return Quantity(name, title, values, unit, spread, tip)
    unit_text = "grey level × px²" if words[0] in ("fit", "cell") else ""
    return Quantity(name, title, _field(name), _fixed(unit_text), spread, tip)


def _lengths(name: str, unit: str) -> tuple[Callable[[Columns], Floats], Callable[[Columns], str]]:
    """Values and unit of a length in px, which are px where the size of a pixel along it is not known."""
    factor = 1.0 if unit == "nm" else 1000.0

    def size_nm(columns: Columns) -> float | None:
        size_y, size_x = columns.pixel_size_nm
        words = name.split("_")
        if "x" in words or "y" in words:
            return size_x if "x" in words else size_y
        return size_x if size_x == size_y else None

    def values(columns: Columns) -> Floats:
        size = size_nm(columns)
        return np.asarray(columns.table[name] * (1.0 if size is None else size * factor))

    return values, lambda columns: "px" if size_nm(columns) is None else unit


def available(columns: Columns | None) -> dict[str, Quantity]:
    """Every quantity of a table by its key."""
    if columns is None:
        return dict(QUANTITIES)
    found = dict(QUANTITIES)
    if (columns.table["sublattice"] >= 0).any():
        found[_SUBLATTICE.key] = _SUBLATTICE
    return found | {name: measured(name) for name in columns.quantities}


def title_of(key: str) -> str:
    """Title of a quantity, also of one that a table does not have."""
    return (QUANTITIES.get(key) or (_SUBLATTICE if key == "sublattice" else measured(key))).title


def kind_names(quantity: Quantity, count: int) -> list[str]:
    """What the numbers 0 .. count - 1 of a quantity of kinds are called."""
    if quantity.key == "defect":
        return [name or "none" for name in DEFECTS[:count]]
    return [str(number) for number in range(count)]


def kinds_of(values: Floats) -> int:
    """How many kinds there are, counted from 0 to the largest number."""
    known = values[np.isfinite(values)]
    return int(known.max()) + 1 if len(known) else 0


def colour_limits(values: Floats, spread: Spread = Spread.RISING) -> tuple[float, float]:
    """Limits of the colours: the 2nd and 98th percentile of what is known; as far to either side of zero if signed."""
    known = values[np.isfinite(values)]
    if not len(known):
        return (-1.0, 1.0) if spread is Spread.SIGNED else (0.0, 1.0)
    if spread is Spread.SIGNED:
        reach = float(np.percentile(np.abs(known), _SHARE)) or float(np.abs(known).max()) or 1.0
        return -reach, reach
    low, high = (float(v) for v in np.percentile(known, (100 - _SHARE, _SHARE)))
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))


@dataclass(frozen=True)
class Vectors:
    """A vector for each column: ``key`` is what its two quantities begin with."""

    key: str
    title: str

    def of(self, columns: Columns) -> Floats:
        """Vectors (n, 2) in px; NaN where not known."""
        return np.stack([columns.table[f"{self.key}_{axis}_px"] for axis in "xy"], axis=1)


_VECTOR_TITLES = {"displacement": "Displacement", "polar": "Polar shift"}


def vectors_of(columns: Columns | None) -> Mapping[str, Vectors]:
    """Every vector of a table by its key: each pair of quantities ending in ``_x_px`` and ``_y_px``."""
    names = () if columns is None else columns.quantities
    keys = [name[: -len("_x_px")] for name in names if name.endswith("_x_px")]
    return {
        key: Vectors(key, _VECTOR_TITLES.get(key, key.replace("_", " ").capitalize()))
        for key in keys
        if f"{key}_y_px" in names
    }
