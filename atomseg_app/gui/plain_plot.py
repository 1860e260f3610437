"""Plots of pyqtgraph as this program shows them: drawn by it, but neither zoomed, focused nor given a menu."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget


def plain_plot(parent: QWidget) -> Any:
    """A pyqtgraph ``PlotWidget`` inside ``parent``, which gets pointer, wheel and keys, and lends its name."""
    import pyqtgraph  # not before there is something to plot: reading it would cost the first frame 0.3 s

    plot = pyqtgraph.PlotWidget(parent, enableMenu=False)
    plot.setAccessibleName(parent.accessibleName())
    for part in (plot, plot.viewport()):
        part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    plot.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    item = plot.getPlotItem()
    plot.destroyed.connect(item.ctrlMenu.deleteLater)  # a menu is made all the same, and has no parent
    item.hideButtons()
    item.setMouseEnabled(False, False)
    for name in ("bottom", "left"):
        item.getAxis(name).enableAutoSIPrefix(False)
    return plot
