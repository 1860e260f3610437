"""Networks: which there are, what they were trained on, and how to train one. A window that stays open beside."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QTabWidget, QVBoxLayout, QWidget

from atomseg_app.data import Columns, Image
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.networks.adapt_page import AdaptPage, Shown
from atomseg_app.gui.networks.gallery_page import GalleryPage
from atomseg_app.gui.networks.models_page import ModelsPage
from atomseg_app.gui.networks.train_page import TrainPage
from atomseg_app.gui.networks.training_run import TrainingRun


class NetworksDialog(QDialog):
    """Not modal; a training goes on while it is closed. Simulated pictures are opened in the window of ``parent``.

    ``models_changed(name)`` when a network has been added. Further pages are added with :meth:`add_page`.
    """

    models_changed = Signal(str)

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.networks")
        self.setWindowTitle("Networks")
        self._background = Background()
        self.run = TrainingRun(context, self._background, self)
        self.models = ModelsPage(context, self._background)
        self.gallery = GalleryPage(context)
        self.training = TrainPage(context, self.run)
        self.adapting = AdaptPage(context, self._background, self._shown)
        self.pages = QTabWidget()
        self.pages.setAccessibleName("Networks")
        self.pages.setDocumentMode(True)
        self.add_page("&Networks", "The networks that can be used, and their cards.", self.models)
        self.add_page("&What they are trained on", "Simulated pictures with known truth.", self.gallery)
        self.add_page("&Train", "Train a network of your own.", self.training)
        self.add_page("&Adapt", "Adapt a network to the open image.", self.adapting)
        layout = QVBoxLayout(self)
        layout.addWidget(self.pages)
        self.gallery.opened.connect(self._open)
        self.run.finished.connect(self.models.refresh)
        self.run.finished.connect(self.models_changed)
        self.adapting.kept.connect(self.models.refresh)
        self.adapting.kept.connect(self.models_changed)
        self.resize(980, 640)

    def add_page(self, title: str, tip: str, page: QWidget) -> None:
        """Add a page at the end."""
        index = self.pages.addTab(page, title)
        self.pages.setTabToolTip(index, tip)

    def showEvent(self, event: QShowEvent) -> None:
        """Look for what has come since."""
        super().showEvent(event)
        self.models.refresh()
        self.run.look()

    def _shown(self) -> Shown | None:
        """The image that is open in the tab this belongs to, and its columns where it has any."""
        model = getattr(self.parentWidget(), "model", None)
        image = None if model is None else model.image()
        if model is None or image is None:
            return None
        columns = model.columns()
        return image, columns if columns is not None and len(columns) else None

    def _open(self, image: Image, columns: Columns) -> None:
        parent = self.parentWidget()
        show_item = getattr(parent and parent.window(), "show_item", None)
        if show_item is not None:
            show_item(image)
            show_item(columns)
