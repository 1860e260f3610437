"""The actions round a filled wedge: one click to the unfilled volume, Fourier space, the filled series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atomseg_app.gui.actions import Action

if TYPE_CHECKING:
    from atomseg_app.gui.tomography.tab import TomographyTab

_MENU = "Tomography"


def wedge_actions(tab: TomographyTab) -> list[Action]:
    """Every one of them."""

    def no_origin() -> str:
        if tab.model.volume() is None:
            return "Show a volume first." if tab.model.volumes() else "Reconstruct a volume, or open one."
        return "" if tab.model.origin() is not None else "The series that it was made from is not open."

    def running(task: str) -> str:
        return "It is running." if task in tab.wedge.running else no_origin()

    return [
        Action("tomography.swap_filled", "Filled or unfilled", tab.wedge.swap,
               "Show the other one at the same place: the volume with what was inferred, or the plain reconstruction.",
               _MENU, "Alt+U", "mdi6.swap-horizontal", no_origin, section="volume"),
        Action("tomography.fourier_view", "Look in Fourier space", tab.wedge.look,
               "Show the volume's power by direction, what was measured and what was inferred.", _MENU, "",
               "mdi6.sine-wave", lambda: running("fourier-view"), section="volume"),
        Action("tomography.filled_series", "Open the filled series", tab.wedge.open_series,
               "Open the series over all angles: views as measured, and projections of this volume between.", _MENU, "",
               "mdi6.animation-outline", lambda: running("filled-series"), section="volume"),
    ]  # fmt: skip
