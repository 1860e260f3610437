"""What a set of simulated pictures is made of: ranges and probabilities, as plain data that a model card can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Range = tuple[float, float]

VERSION = 2
"""Counts changes of what a seed and a preset give, but for rounding, which differs between devices, too.

2: afterglow and coma leave columns where the truth says, ``snr`` counts the noise of lines and read-out, powers of Z up
to 2.1.
"""


WEDGE_VERSION = 1
"""The same of slices and their views."""


def told_version(version: str) -> str:
    """The simulator version of a card in words, with this program's where they differ."""
    current = f"wedge {WEDGE_VERSION}" if version.startswith("wedge") else str(VERSION)
    return version if version == current else f"{version} (this program simulates version {current})"


@dataclass(frozen=True)
class Preset:
    """Ranges (low, high) and probabilities of everything that is drawn for a picture.

    Where ``sigma_px`` is given, the magnification follows from the width of a column's image, in pixels of the
    network's frame; else from ``pm_per_px`` of the picture. ``coarse`` are the weights of pictures taken at 1, 2 and 3
    times larger pixels and interpolated to the network's frame.
    """

    name: str
    held_out: bool
    size_px: int = 256
    margin_px: int = 32
    sigma_px: Range | None = (1.4, 3.2)
    pm_per_px: Range = (4.0, 40.0)
    coarse: tuple[float, float, float] = (0.6, 0.3, 0.1)
    probe_fwhm_pm: Range = (40.0, 90.0)
    blur_pm: Range = (18.0, 30.0)
    z_exponent: Range = (1.5, 2.1)
    thickness_pm: Range = (1000.0, 30000.0)
    dose: Range = (2.0, 500.0)
    background: Range = (0.01, 3.0)
    particles: float = 0.25
    edges: float = 0.15
    wedges: float = 0.35
    boundaries: float = 0.35
    disordered: float = 0.08
    sparse: float = 0.06
    empty: float = 0.02
    strain: float = 0.05
    displacement_pm: Range = (0.0, 8.0)
    vacancies: float = 0.25
    dopants: float = 0.25
    interstitials: float = 0.1
    dark: float = 0.15
    row_jitter_px: Range = (0.0, 1.5)
    jittered: float = 0.4
    aberrations: float = 1.0
    filtered: float = 0.25
    labels: float = 0.05

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a model card."""
        return asdict(self)


TRAINING = Preset("default", held_out=False, coarse=(0.4, 0.45, 0.15), dose=(2.0, 200.0))
"""What the bundled column network is trained on."""

HARD_SET = Preset(
    "hard", held_out=True, sigma_px=None, coarse=(1.0, 0.0, 0.0), dark=0.0, labels=0.0, filtered=0.0, empty=0.0,
    boundaries=0.5, wedges=0.5, jittered=0.5, dose=(3.0, 300.0), disordered=0.05, sparse=0.03,
)  # fmt: skip
"""The mixed hard set that detection is judged on: structures and seeds that no network was trained on."""

PRESETS = {preset.name: preset for preset in (TRAINING, HARD_SET)}
"""Presets by name."""
