"""What simulated slices and their views are made of, for training on missing wedges: plain data, for a model card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from atomseg_app.simulate.preset import Range

FAMILIES = (
    "polygons", "ellipses", "core-shell", "porous", "supported", "needle", "textured", "cloud", "blobs", "lattice",
)  # fmt: skip
"""Kinds of objects to train on; the first four and half of the next two are piecewise constant."""

HELD_OUT = ("twins", "film", "gyroid", "amorphous")
"""Kinds of objects that no network is trained or chosen on; the first two are piecewise constant or nearly so."""


@dataclass(frozen=True)
class WedgePreset:
    """Ranges (low, high) and probabilities of everything that is drawn for a batch of slices and their views.

    ``wedge_deg`` is what is missing of 180 degrees, ``full`` the share of batches with none missing; ``uneven`` that
    of lists with other than regular steps. ``dose`` is the mean count of a bin where the object is seen; ``counted``
    the share of slices with counting noise at all. ``shift_px``, ``tilt_error_deg`` and ``gain`` are standard
    deviations over views, each in half of the slices (``tilt_error_deg``: batches).
    """

    name: str
    families: tuple[str, ...] = FAMILIES
    size_px: int = 128
    wedge_deg: Range = (20.0, 90.0)
    step_deg: Range = (1.0, 5.0)
    centre_deg: float = 10.0
    uneven: float = 0.3
    full: float = 0.06
    dose: Range = (50.0, 50_000.0)
    counted: float = 0.65
    shift_px: Range = (0.0, 1.0)
    tilt_error_deg: Range = (0.0, 0.3)
    gain: Range = (0.0, 0.02)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a model card."""
        return asdict(self)


WEDGE_TRAINING = WedgePreset("wedge")
WEDGE_NOISY = WedgePreset("wedge-noisy", dose=(20.0, 20_000.0), counted=0.95)
"""For noise reduction: counting noise nearly always, and more of it."""
WEDGE_UNSEEN = WedgePreset("wedge-unseen", families=HELD_OUT)
"""The same views of the families that are held out."""
