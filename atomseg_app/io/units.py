"""Units as microscope files spell them: lengths to nm, angles to degrees, and the axes that are neither."""

from __future__ import annotations

import math
import re

_NM: dict[str, float] = {
    "m": 1e9, "meter": 1e9, "metre": 1e9, "cm": 1e7, "centimeter": 1e7, "mm": 1e6, "millimeter": 1e6,
    "um": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometre": 1e3,
    "nm": 1.0, "nanometer": 1.0, "nanometre": 1.0, "a": 0.1, "ang": 0.1, "angstrom": 0.1, "angstroms": 0.1,
    "pm": 1e-3, "picometer": 1e-3, "picometre": 1e-3,
}  # fmt: skip
_DEGREES = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "rad": math.degrees(1), "radian": math.degrees(1)}
_ENERGIES = frozenset({"ev", "kev", "mev"})


def plain(unit: object) -> str:
    """Unit without brackets, underscores and case, micro and Angstrom in Latin letters: ``[n_m]`` is ``nm``."""
    text = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit or "")
    text = text.replace("\\u00B5", "µ").replace("\\u00C5", "Å")
    return re.sub(r"[\[\]_\s]", "", text).replace("µ", "u").replace("μ", "u").replace("Å", "A").lower()


def length_nm(scale: float | None, unit: object) -> float | None:
    """Length in nm, or None for a unit that is no length (none, reciprocal, time) or a value that is no size."""
    factor = _NM.get(plain(unit))
    if factor is None or scale is None or not math.isfinite(scale) or scale <= 0:
        return None
    return scale * factor


def degrees_per(unit: object) -> float | None:
    """Factor to degrees, or None for a unit that is no tilt angle (milliradians are detector angles)."""
    return _DEGREES.get(plain(unit))


def is_energy(unit: object) -> bool:
    """Whether an axis in this unit is a spectrum."""
    return plain(unit) in _ENERGIES


def kilovolts(value: object) -> float | None:
    """Accelerating voltage in kV from a number or a text in V or kV (``300kV``, ``200000``), None if it is neither."""
    match = re.match(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*(k?e?V)?\s*$", str(value))
    if match is None:
        return None
    try:
        number = float(match[1])
    except ValueError:
        return None
    kilo = number / 1e3 if number > 5000 or match[2] in ("V", "eV") else number
    return kilo if 0 < kilo < 5000 else None
