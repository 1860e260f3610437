"""What simulated catalysts and their tomograms are made of: ranges, as plain data that a model card can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from atomseg_app.label_classes import LabelClass
from atomseg_app.simulate.preset import Range

CATALYST_VERSION = 2
"""Counts changes of what a seed and a preset give, but for rounding."""

PORES, SUPPORT, METAL = 0, 1, 2
CATALYST_CLASSES = (LabelClass(PORES, "pores"), LabelClass(SUPPORT, "support"), LabelClass(METAL, "metal"))
"""Pores are all that is empty, within the support and around it."""

FAMILIES = ("spinodal", "grains", "plates")
"""Kinds of porous supports to train on."""

HELD_OUT = ("channels",)
"""Kinds that no bundled network is trained or chosen on."""


@dataclass(frozen=True)
class CatalystPreset:
    """Ranges (low, high), drawn evenly for each volume, and what particles are drawn from.

    Shares are of the whole volume. ``diameter_px`` is (median, standard deviation of the logarithm) of particles,
    ``off_surface`` how far their centres lie above the support, in radii, ``touching`` the share of them placed against
    another one. Support scatters 1 a voxel, with ``texture`` (standard deviation) where it is finer than voxels; metal
    scatters ``metal_ratio``, and each particle differs by ``brightness`` (of the logarithm, cut at 1.5 times that), as
    diffraction makes it. ``blur_px`` is the probe's standard deviation; ``saturation`` the part of the signal lost
    where the specimen is thickest; ``dose`` the mean count of a bin where the specimen is seen; ``shift_px`` and
    ``tilt_error_deg`` standard deviations over views. ``sirt`` is the share of volumes made by SIRT instead of MLEM.
    ``support_grey`` is where support lies in 8 bits.
    """

    name: str
    families: tuple[str, ...] = FAMILIES
    support_share: Range = (0.17, 0.235)
    metal_share: Range = (0.0028, 0.0044)
    feature_px: Range = (34.0, 64.0)
    diameter_px: Range = (16.4, 0.28)
    off_surface: Range = (0.2, 0.85)
    touching: float = 0.06
    texture: Range = (0.05, 0.2)
    metal_ratio: Range = (3.3, 5.6)
    brightness: float = 0.62
    blur_px: Range = (1.1, 1.7)
    saturation: Range = (0.0, 0.2)
    last_tilt_deg: Range = (72.0, 78.0)
    step_deg: Range = (1.5, 2.5)
    dose: Range = (110.0, 320.0)
    shift_px: Range = (0.3, 0.6)
    tilt_error_deg: Range = (0.0, 0.1)
    sirt: float = 0.3
    mlem_iterations: Range = (15.0, 30.0)
    sirt_iterations: Range = (30.0, 60.0)
    support_grey: Range = (52.0, 66.0)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a model card."""
        return asdict(self)
