"""How a volume is drawn in 3D."""

from __future__ import annotations

from dataclasses import dataclass, replace

from atomseg_app.gui.volumes.transfer_editor import DEFAULT, Points

_NO_CLIP = ((0.0, 1.0),) * 3


@dataclass(frozen=True)
class Look:
    """How a volume is drawn in 3D. ``level`` is the value of the surface; ``clip`` shares shown along (z, y, x)."""

    mode: str = "mip"
    points: Points = DEFAULT
    level: float | None = None
    clip: tuple[tuple[float, float], ...] = _NO_CLIP
    box: bool = True
    cross: bool = True


def with_clip(look: Look, axis: int, low: float, high: float) -> Look:
    """A look that shows another part along an axis (0: z)."""
    clip = tuple((low, high) if index == axis else limits for index, limits in enumerate(look.clip))
    return replace(look, clip=clip)
