"""The style sheet that the look adds to Qt's Fusion style: spacing, hierarchy of text, visible focus."""

from __future__ import annotations

from string import Template

from atomseg_app import places
from atomseg_app.gui.colours import Colours

_SHEET = Template("""
QToolTip { background: $surface; color: $text; border: 1px solid $border; padding: 4px 6px; }
QLabel[role="title"] { font-size: ${title_pt}pt; font-weight: 600; }
QLabel[role="heading"] { font-size: ${heading_pt}pt; font-weight: 600; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="small"] { color: $muted; font-size: ${small_pt}pt; }

QMainWindow::separator { background: $window; width: 5px; height: 5px; }
QMainWindow::separator:hover { background: $focus; }
QMenuBar { background: $surface; border-bottom: 1px solid $border; padding: 1px 4px; }
QMenuBar::item { padding: 4px 9px; border-radius: 4px; background: transparent; }
QMenuBar::item:selected { background: $control_hover; }
QMenu { background: $surface; border: 1px solid $border; padding: 4px; }
QMenu::item { padding: 5px 26px 5px 10px; border-radius: 4px; }
QMenu::icon { padding-left: 8px; }
QMenu::item:selected { background: $selection; color: $on_selection; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QToolBar { background: $surface; border: 0; border-bottom: 1px solid $border; padding: 3px 6px; spacing: 2px; }
QToolBar::separator { width: 1px; background: $border; margin: 4px 5px; }
QToolButton { border: 1px solid transparent; border-radius: 5px; padding: 4px 6px; background: transparent; }
QToolBar, QPushButton, QTabBar { icon-size: ${icon_px}px; }
QToolButton { qproperty-iconSize: ${icon_px}px ${icon_px}px; }
QToolButton:hover { background: $control_hover; }
QToolButton:checked, QToolButton:pressed { background: $selection; color: $on_selection; }
QToolButton[role="section"], QToolButton[role="section"]:checked { background: transparent; color: $text; }
QToolButton:disabled { color: $muted; }
QToolButton:focus { border-color: $focus; }
QStatusBar { background: $surface; border-top: 1px solid $border; min-height: 2em; }
QStatusBar::item { border: 0; }

QPushButton {
  background: $control; border: 1px solid $border; border-radius: 5px; padding: 5px 14px; min-height: 1.15em; }
QPushButton:hover { background: $control_hover; }
QPushButton:pressed { background: $selection; }
QPushButton:focus { border: 2px solid $focus; padding: 4px 13px; }
QPushButton:disabled { color: $muted; background: $window; }
QPushButton[role="primary"], QPushButton:default { background: $accent; color: $on_accent; border-color: $accent; }
QPushButton[role="primary"]:hover, QPushButton:default:hover { background: $accent_hover; }
QPushButton[role="primary"]:focus, QPushButton:default:focus { border: 2px solid $text; }
QPushButton[role="primary"]:disabled, QPushButton:default:disabled {
  background: $control; color: $muted; border-color: $border; }
QPushButton[role="flat"] { background: transparent; border-color: transparent; padding: 4px 8px; }
QPushButton[role="flat"]:hover { background: $control_hover; }
QPushButton[role="flat"]:focus { border: 2px solid $focus; padding: 3px 7px; }
QPushButton[role="row"] {
  background: transparent; border: 2px solid transparent; text-align: left; padding: 4px 8px; min-height: 2.35em; }
QPushButton[role="row"]:hover { background: $control_hover; }
QPushButton[role="row"]:focus { border: 2px solid $focus; }
QPushButton[role="row"]:disabled { color: $muted; background: transparent; }

QLineEdit, QSpinBox, QDoubleSpinBox, QComboBox, QPlainTextEdit, QTextEdit, QAbstractItemView {
  selection-background-color: $selection; selection-color: $on_selection; }
QLineEdit, QPlainTextEdit, QTextBrowser {
  background: $base; border: 1px solid $border; border-radius: 4px; padding: 3px 5px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextBrowser:focus { border: 1px solid $focus; }
QLineEdit:disabled { color: $muted; background: $window; }
QComboBox, QAbstractSpinBox {
  background: $control; border: 1px solid $border; border-radius: 4px; padding: 3px 6px; min-height: 1.15em; }
QComboBox:hover, QAbstractSpinBox:hover { background: $control_hover; }
QComboBox:focus, QAbstractSpinBox:focus { border: 1px solid $focus; }
QComboBox:disabled, QAbstractSpinBox:disabled { color: $muted; background: $window; }
QComboBox::drop-down { border: 0; width: 22px; }
QComboBox::down-arrow { image: url("$icons/down-$look.svg"); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $surface; border: 1px solid $border; padding: 3px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: 0; width: 18px; background: transparent; }
QAbstractSpinBox::up-arrow { image: url("$icons/up-$look.svg"); width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow { image: url("$icons/down-$look.svg"); width: 10px; height: 10px; }
QCheckBox { spacing: 7px; }
QCheckBox::indicator, QTreeView::indicator, QMenu::indicator {
  width: ${box_px}px; height: ${box_px}px; border: 1px solid $muted; border-radius: 3px; background: $base; }
QMenu::indicator { margin-left: 8px; }
QCheckBox::indicator:checked, QTreeView::indicator:checked, QMenu::indicator:checked {
  background: $accent; border-color: $accent; image: url("$icons/check-$look.svg"); }
QCheckBox::indicator:disabled { border-color: $border; background: $window; }
QCheckBox:focus { background: $info; border-radius: 3px; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QDialog[role="popup"] { background: $surface; border: 1px solid $border; }
QLineEdit[invalid="true"] { border: 1px solid $on_error; background: $error; color: $on_error; }
QAbstractItemView { background: $base; alternate-background-color: $alternate; border: 1px solid $border; outline: 0; }
QAbstractItemView:focus { border: 1px solid $focus; }
QHeaderView::section {
  background: $surface; color: $muted; border: 0; border-bottom: 1px solid $border; padding: 4px 6px; }
QTreeView::item { padding: 3px 2px; }
QTableCornerButton::section { background: $surface; border: 0; }
QProgressBar {
  background: $control; border: 1px solid $border; border-radius: 4px; text-align: center; min-height: 1.2em; }
QProgressBar[role="thin"] { min-height: 8px; max-height: 8px; }
QProgressBar::chunk { background: $selection; border-radius: 3px; }

QTabBar { qproperty-drawBase: 0; }
QTabBar::tab { padding: 6px 14px; border: 0; border-bottom: 2px solid transparent; color: $muted; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; font-weight: 600; }
QTabBar::tab:hover { color: $text; }
QTabBar { outline: 0; }
QTabBar::tab:focus { background: $info; color: $on_info; }
QTabWidget::pane { border: 0; border-top: 1px solid $border; }
QDockWidget::title { background: $surface; padding: 5px 8px; border-top: 1px solid $border; }
QGroupBox { border: 1px solid $border; border-radius: 6px; margin-top: 0.9em; padding: 8px 8px 6px 8px; }
QGroupBox::title { subcontrol-origin: margin; left: 8px; padding: 0 4px; color: $muted; }
QScrollArea { border: 0; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: 4px; margin: 2px; min-height: 24px; min-width: 24px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QSlider:focus { border: 1px solid $focus; border-radius: 4px; }

QPlainTextEdit[role="mono"] { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: ${small_pt}pt; }
QFrame[role="card"] { background: $surface; border: 1px solid $border; border-radius: 8px; }
QFrame[role="drop"] { background: $surface; border: 2px dashed $border; border-radius: 10px; }
QFrame[role="drop"][hot="true"] { border-color: $accent; background: $info; }
QFrame[role="banner"] { background: $warning; border: 0; border-bottom: 1px solid $border; }
QFrame[role="banner"] QLabel { color: $on_warning; }
QFrame[role="toast"] { background: $info; border: 1px solid $border; border-radius: 8px; }
QFrame[role="toast"] QLabel { color: $on_info; }
QFrame[role="tour"] { background: $surface; border: 2px solid $accent; border-radius: 8px; }
QLabel[role="badge"] {
  background: $info; color: $on_info; border-radius: 4px; padding: 2px 8px; font-size: ${small_pt}pt; }
QLabel[role="badge"][state="warning"] { background: $warning; color: $on_warning; }
QLabel[role="badge"][state="good"] { background: $success; color: $on_success; }
QLabel[role="error"] { background: $error; color: $on_error; border-radius: 4px; padding: 5px 8px; }
""")


def stylesheet(colours: Colours, font_pt: float) -> str:
    """Style sheet of a look at a text size in points."""
    sizes = {"title_pt": font_pt * 1.7, "heading_pt": font_pt * 1.15, "small_pt": font_pt * 0.9}
    rounded = {name: f"{size:.1f}" for name, size in sizes.items()}
    icons = (places.resources_folder() / "icons" / "ui").as_posix()
    rounded |= {
        "icons": icons,
        "look": "dark" if colours.dark else "light",
        "box_px": str(round(font_pt * 1.4)),
        "icon_px": str(round(font_pt * 1.8)),
    }
    return _SHEET.substitute({name: str(value) for name, value in vars(colours).items()}, **rounded)
