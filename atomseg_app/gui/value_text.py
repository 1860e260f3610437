"""Values of images and columns as short texts."""

from __future__ import annotations


def value_text(value: float, digits: int = 6) -> str:
    """A value to some digits, without a power of ten while it can be read without one."""
    return f"{value:.0f}" if 10.0**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"
