"""Step 5: fill the missing wedge, and see what of the volume was measured and what was inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.curve_view import Curve, CurveView
from atomseg_app.gui.tomography.fourier_pane import FourierPane
from atomseg_app.gui.tomography.model import TomoModel, angles_known
from atomseg_app.gui.tomography.run_panel import RunPanel
from atomseg_app.operations import Operation
from atomseg_app.tomography.directions import round_one_axis
from atomseg_app.tomography.missing_wedge import gaps_of, missing_text

Floats = npt.NDArray[np.float64]


_TRAINED = ("best", "joint", "residual")
_ONLY = {
    "minutes": ("self",),
    "uncertainty": _TRAINED,
    "model": _TRAINED,
    "sinogram_model": ("joint",),
    "device": _TRAINED,
}
"""Fields that only some methods look at."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a volume shows in Fourier space; ``values`` are those that it had then."""

    values: npt.NDArray[Any]
    log_power: npt.NDArray[np.float32]
    curves: tuple[Curve, ...]
    gaps_deg: tuple[tuple[float, float], ...]
    inferred_share: float
    relative_density: float | None

    @classmethod
    def of(cls, told: Mapping[str, Any], volume: Volume, log_power: npt.NDArray[np.float32]) -> Look:
        """From what the task gave."""
        angle, power = np.asarray(told["angle_deg"], float), np.asarray(told["power"], float)
        inferred = np.asarray(told["inferred"], bool)
        views, view_power = np.asarray(told["view_deg"], float), np.asarray(told["view_power"], float)
        top = max(float(power.max()), float(view_power.max()), 1e-300)
        power, view_power = power / top, view_power / top
        curves = [Curve("measured", angle, np.where(inferred, np.nan, power))]
        if inferred.any():
            curves.append(Curve("inferred", angle, np.where(inferred, power, np.nan)))
        curves.append(Curve("views", views, view_power, level=True))
        gaps = tuple((float(start), float(stop)) for start, stop in told["gaps_deg"])
        return cls(volume.values, log_power, tuple(curves), gaps, told["inferred_share"], told["relative_density"])


class WedgePanel(QWidget):
    """Runs the filling; shows the volume in Fourier space, once it was looked at."""

    def __init__(
        self, operations: Sequence[Operation], model: TomoModel, computing: Computing, actions: ActionRegistry
    ) -> None:
        super().__init__()
        self._model = model
        self._looks: dict[int, Look] = {}
        self.missing = muted()
        self.missing.setAccessibleName("What the tilt range did not measure")
        self.run = RunPanel("Fill the missing wedge", operations, model, computing, actions, can_stop=True)
        self.run.form_made.connect(self._on_form)
        self.told = muted()
        self.told.setAccessibleName("What was measured and what was inferred")
        self.fourier = FourierPane()
        self.power = CurveView("Power by direction", "direction / °", "relative power")
        self.power.setToolTip("Power of the volume by direction, and of the views at their angles (logarithmic).")
        self.power.logarithmic = True
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (self.missing, self.run, ActionButton(actions.qaction("tomography.swap_filled")),
                       ActionButton(actions.qaction("tomography.fourier_view")), self.told, self.fourier, self.power,
                       ActionButton(actions.qaction("tomography.filled_series"))):  # fmt: skip
            layout.addWidget(widget)
        for signal in (model.current_changed, model.changed, model.entries_changed):
            signal.connect(self.refresh)
        self.refresh()

    def keep(self, entry_id: int, look: Look) -> None:
        """Remember what a volume shows, and show it."""
        self._looks[entry_id] = look
        self.refresh()

    def look(self) -> Look | None:
        """What is known of the volume that is shown."""
        volume, look = self._model.volume(), self._looks.get(self._model.current_id)
        return look if look is not None and volume is not None and look.values is volume.values else None

    def _on_form(self, name: str) -> None:
        """Show only what the method that is chosen asks for."""
        form = self.run.forms[name]

        def follow() -> None:
            method = form.fields["method"].value()
            for field, methods in _ONLY.items():
                form.show_field(field, method in methods)
            self.run.stop.setVisible(method == "self")

        form.changed.connect(follow)
        follow()

    def refresh(self) -> None:
        """Show what is known of what is shown."""
        for entry_id in self._looks.keys() - self._model.entries.keys():
            del self._looks[entry_id]
        series, volume, look = self._model.working_series(), self._model.volume(), self.look()
        self.missing.setText(missing_in(series))
        lines = [] if volume is None else told_of(volume)
        if look is not None:
            lines += share_lines(look)
            size = cast(Volume, volume).pixel_size_nm[-1]
            self.fourier.show_power(look.log_power, look.gaps_deg, size)
            self.power.set_curves(look.curves)
        self.told.setText("\n".join(lines))
        self.told.setVisible(bool(lines))
        self.fourier.setVisible(look is not None)
        self.power.setVisible(look is not None)


def missing_in(series: TiltSeries | None) -> str:
    """Which directions a series did not measure."""
    if series is None:
        return "Show a tilt series, or a volume that was made from one."
    if not angles_known(series):
        return "Give the tilt angles first (step 1)."
    series = round_one_axis(series)
    if series.euler_deg is not None:
        return "Views tilted in several directions leave no wedge to fill."
    gaps = gaps_of(np.asarray(series.tilt_deg, float)[series.used])
    if not gaps:
        return "The views leave no wedge out."
    share = 100 * sum(gap.width_deg for gap in gaps) / 180
    return f"Nothing was measured from {missing_text(gaps)}: {share:.0f} % of all directions. A network infers it."


def told_of(volume: Volume) -> list[str]:
    """What a volume that was filled tells of itself."""
    facts, lines = volume.metadata, list[str]()
    if facts.get("quantity") == "uncertainty":
        return ["Uncertainty: one standard deviation of the volume's grey levels, from answers that should be one."]
    if not facts.get("wedge_method"):
        return lines
    by = str(facts.get("wedge_models") or "a network that learned from this series alone")
    lines.append(f"Part of this volume is inferred, by {by}.")
    r_factor = facts.get("r_factor")
    if isinstance(r_factor, float):
        lines.append(f"R-factor {100 * r_factor:.2f} %: what of the measured views it does not explain.")
    lines += [note for note in volume.history[-1].notes if "unlike" in note] if volume.history else []
    return lines


def share_lines(look: Look) -> list[str]:
    """How much of the power is inferred."""
    if look.relative_density is None:
        return ["Every direction was measured."]
    return [
        f"{100 * look.inferred_share:.0f} % of the power lies where nothing was measured; per direction it is "
        f"{100 * look.relative_density:.0f} % of what it is where it was."
    ]
