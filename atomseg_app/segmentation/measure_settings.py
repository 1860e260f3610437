"""What measuring labels can be told; torch-free, for the form and the command."""

from __future__ import annotations

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.label_classes import LabelClass
from atomseg_app.operations import Parameters, parameter

SPLITTING = 0.8
"""What separates spheres that touch, and keeps ellipsoids and rough spheres whole."""


class MeasureLabels(Parameters):
    """Settings of measuring."""

    particles: str = parameter("", "Class of the particles, by name or number; empty: the one of the highest number.")
    support: str = parameter("", "Class of their support, by name or number; empty: the one below the particles'.")
    splitting: float = parameter(
        SPLITTING, "A neck cuts where it is narrower than this share of the smaller particle; 0 cuts none.", ge=0, le=1
    )
    least_voxels: int = parameter(20, "Particles of fewer voxels are left out.", unit="voxels", ge=1)
    widest_pore_px: float = parameter(
        30.0, "What is narrower than this counts as a pore of the support, not as its surroundings.", unit="px", gt=0,
        le=500, advanced=True,
    )  # fmt: skip


def chosen_classes(labels: Labels, settings: MeasureLabels) -> tuple[LabelClass, LabelClass | None]:
    """Class of the particles, and of the support, None if there is none.

    Raises UserError for a name that no class has, or labels of one class only.
    """
    classes = labels.classes
    if len(classes) < 2:
        raise UserError("The labels have one class only; measuring needs particles and what surrounds them.")
    particles = _named(classes, settings.particles) if settings.particles else classes[-1]
    if settings.support:
        return particles, _named(classes, settings.support)
    below = [each for each in classes if 0 < each.value < particles.value]
    return particles, below[-1] if below else None


def _named(classes: tuple[LabelClass, ...], wanted: str) -> LabelClass:
    found = [each for each in classes if wanted.casefold() in (each.name.casefold(), str(each.value))]
    if not found:
        known = ", ".join(f"{each.name} ({each.value})" for each in classes)
        raise UserError(f"The labels have no class {wanted!r}; theirs are {known}.")
    return found[0]
