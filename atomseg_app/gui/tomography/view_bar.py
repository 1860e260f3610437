"""Under the projection: slider through the views with their angle, play, and the row of the sinogram."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QSpinBox, QToolButton, QWidget

from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import TomoModel, rows_of
from atomseg_app.gui.tomography.projection_view import angle_text

_PLAY_MS = 90


class ViewBar(QWidget):
    """Controls of the view and the row that are shown."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("tomography.views")
        self._model = model
        self.play = QToolButton()
        self.play.setIcon(theme.icon("mdi6.play-outline"))
        self.play.setCheckable(True)
        self.play.setAccessibleName("Play the series")
        self.play.setToolTip("Run through the views in the order of their file; excluded ones are left out.")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("View")
        self.slider.setToolTip("View that is shown; the wheel over the picture turns it, too.")
        self.number = QSpinBox()
        self.number.setAccessibleName("Number of the view")
        self.number.setToolTip("Number of the view, from 1.")
        self.angle = QLabel()
        self.angle.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.row = QSpinBox()
        self.row.setAccessibleName("Row of the sinogram")
        self.row.setToolTip("Row along the tilt axis whose sinogram is shown; a click in the picture takes it, too.")
        self.row.setSuffix(" px")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 2)
        for widget in (self.play, QLabel("View"), self.number, self.slider, self.angle, QLabel("Row"), self.row):
            layout.addWidget(widget, 1 if widget is self.slider else 0)
        self._timer = QTimer(self, interval=_PLAY_MS)
        self._timer.timeout.connect(self._next)
        self.play.toggled.connect(self._on_play)
        self.slider.valueChanged.connect(model.show_view)
        self.number.valueChanged.connect(lambda number: model.show_view(number - 1))
        self.row.valueChanged.connect(model.show_row)
        for signal in (model.current_changed, model.place_changed, model.changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where the model looks."""
        series = self._model.series()
        if series is None or not len(series.values):
            self.play.setChecked(False)
            return
        blockers = [QSignalBlocker(widget) for widget in (self.slider, self.number, self.row)]
        count = len(series.values)
        self.slider.setRange(0, count - 1)
        self.slider.setValue(self._model.view)
        self.number.setRange(1, count)
        self.number.setValue(self._model.view + 1)
        self.row.setRange(0, rows_of(series) - 1)
        self.row.setValue(self._model.row)
        text = f"of {count}   {angle_text(series.tilt_deg[self._model.view])}"
        if series.euler_deg is not None:
            text = f"of {count}   " + ", ".join(angle_text(angle) for angle in series.euler_deg[self._model.view])
        self.angle.setText(text)
        widest = self.fontMetrics().horizontalAdvance(f"of {count}   angle unknown")
        self.angle.setMinimumWidth(max(widest, self.angle.sizeHint().width()))
        for blocker in blockers:
            blocker.unblock()

    def _on_play(self, on: bool) -> None:
        if on:
            self._timer.start()
        else:
            self._timer.stop()

    def _next(self) -> None:
        series = self._model.series()
        if series is None or not self.isVisible():
            self.play.setChecked(False)
            return
        views = [view for view in range(len(series.values)) if view not in series.excluded]
        later = [view for view in views if view > self._model.view]
        self._model.show_view(later[0] if later else views[0])
