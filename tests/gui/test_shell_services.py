"""Settings, undo, actions, colours and matching: the services without a window."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import QApplication

from atomseg_app import places
from atomseg_app.errors import UserError
from atomseg_app.gui.actions import Action, ActionRegistry
from atomseg_app.gui.colours import DARK, LIGHT, TEXT_PAIRS, Colours, contrast
from atomseg_app.gui.palette import match
from atomseg_app.gui.settings import (
    FONT_SCALE_PERCENT,
    RECENT_FILES,
    RECENT_FILES_KEPT,
    THEME,
    Setting,
    Settings,
)
from atomseg_app.gui.shortcuts import cheat_sheet_html, conflicts
from atomseg_app.gui.theme import Theme, palette
from atomseg_app.gui.undo import Command, UndoStack


class Append(Command):
    """Appends to a list."""

    def __init__(self, values: list[int], value: int, cost_bytes: int = 10, merges: bool = False) -> None:
        self.values, self.added, self.merges = values, [value], merges
        self.text, self.cost_bytes = f"Append {value}", cost_bytes

    def do(self) -> None:
        self.values += self.added

    def undo(self) -> None:
        del self.values[-len(self.added) :]

    def merge(self, following: Command) -> bool:
        if not (isinstance(following, Append) and self.merges and following.merges):
            return False
        self.added += following.added
        return True


def test_settings_survive_and_are_checked(qtbot: object) -> None:
    settings = Settings()
    settings.set(THEME, "dark")
    settings.set(FONT_SCALE_PERCENT, 150)
    settings.flush()
    assert Settings().get(THEME) == "dark"
    stored = json.loads(settings.path.read_text("utf-8"))
    settings.path.write_text(json.dumps({**stored, THEME.key: "pink", FONT_SCALE_PERCENT.key: "big"}))
    again = Settings()
    assert again.get(THEME) == "system", "a value that is no choice falls back to the default"
    assert again.get(FONT_SCALE_PERCENT) == 100, "and so does one of another type"


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00"])
def test_damaged_settings_are_put_aside(qtbot: object, content: bytes) -> None:
    path = places.settings_folder() / "settings.json"
    path.write_bytes(content)
    assert Settings().get(THEME) == "system"
    assert path.with_suffix(".damaged.json").read_bytes() == content


def test_settings_that_are_not_persistent_write_nothing(qtbot: object) -> None:
    settings = Settings(persistent=False)
    settings.set(THEME, "dark")
    settings.flush()
    assert settings.get(THEME) == "dark"
    assert not settings.path.exists()


def test_a_settings_folder_that_cannot_be_written_is_no_reason_to_stop(qtbot: object, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    settings = Settings(blocked / "settings.json")
    settings.set(THEME, "dark")
    settings.flush()
    assert settings.get(THEME) == "dark"


def test_recent_files_are_newest_first_unique_and_bounded(qtbot: object) -> None:
    settings = Settings()
    for number in [*range(30), 25]:
        settings.add_recent(f"/data/{number}.tif")
    recent = settings.get(RECENT_FILES)
    assert recent[0] == "/data/25.tif"
    assert len(recent) == len(set(recent)) == RECENT_FILES_KEPT >= 10
    settings.remove_recent("/data/25.tif")
    assert "/data/25.tif" not in settings.get(RECENT_FILES)


def test_a_setting_keeps_the_type_of_its_default(qtbot: object) -> None:
    settings = Settings()
    width: Setting[float] = Setting("test.width", 1.5)
    settings.path.write_text(json.dumps({width.key: True}))
    assert Settings().get(width) == 1.5


def test_undo_goes_back_and_forth_through_a_thousand_steps(qtbot: object) -> None:
    values: list[int] = []
    stack = UndoStack()
    for number in range(1000):
        stack.push(Append(values, number))
    for _ in range(400):
        stack.undo()
    assert values == list(range(600))
    assert stack.undo_text() == "Append 599"
    assert stack.redo_text() == "Append 600"
    for _ in range(400):
        stack.redo()
    assert values == list(range(1000))


def test_a_new_step_clears_redo(qtbot: object) -> None:
    values: list[int] = []
    stack = UndoStack()
    stack.push(Append(values, 1))
    stack.undo()
    stack.push(Append(values, 2))
    stack.redo()
    assert values == [2]
    assert not stack.redo_text()


def test_the_oldest_steps_are_forgotten_beyond_the_budget(qtbot: object) -> None:
    values: list[int] = []
    stack = UndoStack(budget_bytes=1000)
    for number in range(300):
        stack.push(Append(values, number, cost_bytes=9))
    assert stack.cost_bytes() <= 1000
    assert len(stack) >= 100
    for _ in range(300):
        stack.undo()
    assert values == list(range(300 - 111))
    stack.push(Append(values, 7, cost_bytes=5000))
    assert len(stack) == 1, "the newest step is kept whatever it costs"


def test_the_steps_of_a_drag_merge_into_one(qtbot: object) -> None:
    values: list[int] = []
    stack = UndoStack()
    stack.push(Append(values, 0))
    for number in range(1, 6):
        stack.push(Append(values, number, merges=True))
    assert len(stack) == 2
    stack.undo()
    assert values == [0]
    stack.redo()
    assert values == [0, 1, 2, 3, 4, 5]


def test_clean_means_as_saved(qtbot: object) -> None:
    values: list[int] = []
    stack = UndoStack(budget_bytes=100)
    assert stack.is_clean()
    stack.push(Append(values, 1, merges=True))
    stack.set_clean()
    stack.push(Append(values, 2, merges=True))
    assert not stack.is_clean(), "a step must not merge into the saved state"
    stack.undo()
    assert stack.is_clean()
    stack.undo()
    assert not stack.is_clean()
    stack.push(Append(values, 3))
    assert not stack.is_clean(), "another future than the saved one"
    stack.set_clean()
    for number in range(30):
        stack.push(Append(values, number))
    for _ in range(30):
        stack.undo()
    assert not stack.is_clean(), "the saved state was forgotten with the oldest steps"


@pytest.fixture
def registry(qapp: QApplication) -> ActionRegistry:
    settings = Settings()
    return ActionRegistry(settings, Theme(qapp, settings))


def test_an_action_says_why_it_cannot_be_used(registry: ActionRegistry) -> None:
    reason = ["Needs an image."]
    done: list[str] = []
    qaction = registry.add(
        Action(
            "a.find",
            "Find",
            lambda: done.append("found"),
            "Find columns.",
            shortcut="F",
            why_disabled=lambda: reason[0],
        )
    )
    registry.trigger("a.find")
    assert not done
    assert "Needs an image." in qaction.toolTip()
    reason[0] = ""
    registry.refresh()
    registry.trigger("a.find")
    assert done == ["found"]
    assert qaction.toolTip() == "Find columns. (F)"


def test_a_refusal_is_told_and_no_exception_leaves_the_slot(registry: ActionRegistry) -> None:
    def refuse() -> None:
        raise UserError("The image has no columns.")

    told: list[tuple[str, str]] = []
    registry.refused.connect(lambda title, problem: told.append((title, str(problem))))
    registry.add(Action("a.refuse", "Refuse", refuse, "Always refuses."))
    registry.trigger("a.refuse")
    assert told == [("Refuse", "The image has no columns.")]


def test_an_id_is_taken_once(registry: ActionRegistry) -> None:
    registry.add(Action("a.b", "A", lambda: None, "Tip."))
    with pytest.raises(RuntimeError, match=r"a\.b"):
        registry.add(Action("a.b", "B", lambda: None, "Tip."))


def test_shortcuts_are_kept_restored_and_their_conflicts_known(registry: ActionRegistry) -> None:
    one = registry.add(Action("a.one", "One", lambda: None, "First.", "Edit", "Ctrl+1"))
    registry.add(Action("a.two", "Two", lambda: None, "Second.", "Edit", "Ctrl+2"))
    assert conflicts(registry) == {}
    registry.set_shortcuts({"a.one": "Ctrl+2"})
    assert conflicts(registry) == {"Ctrl+2": ["a.one", "a.two"]}
    assert one.shortcut().toString() == "Ctrl+2"
    assert "Ctrl+2" in cheat_sheet_html(registry)
    again = ActionRegistry(registry._settings, registry._theme)
    assert again.add(Action("a.one", "One", lambda: None, "First.", "Edit", "Ctrl+1")).shortcut().toString() == "Ctrl+2"
    registry.set_shortcuts({"a.one": "Ctrl+1"})
    assert conflicts(registry) == {}
    assert registry._settings.get(Setting[dict[str, str]]("shortcuts", {})) == {}


def test_a_checkable_action_shows_the_state_it_is_told(registry: ActionRegistry) -> None:
    state = [False]
    calls: list[bool] = []
    qaction = registry.add(
        Action("a.check", "Check", calls.append, "Switch.", checkable=True, checked=lambda: state[0])
    )
    qaction.trigger()
    assert calls == [True]
    assert not qaction.isChecked(), "the callback did not change the state, so the mark must not show it"
    state[0] = True
    registry.refresh()
    assert qaction.isChecked()
    assert calls == [True], "showing the state must not call back"


@pytest.mark.parametrize(("query", "better", "worse"), [
    ("find", "Find columns | Columns | Measure", "Open | File | Find files"),
    ("undo", "Undo Move column | Edit | Take back", "Redo | Edit | Undo the undo"),
    ("fc", "Find columns | Columns | x", "Open files | File | cf"),
    ("exp csv", "Export as CSV | File | Write a table", "Export as PNG | File | csv"),
])  # fmt: skip
def test_the_palette_finds_the_better_match_first(query: str, better: str, worse: str) -> None:
    assert match(query, better) > match(query, worse)


def test_the_palette_drops_what_does_not_match() -> None:
    assert match("zzz", "Find columns | Columns | Measure") == 0
    assert match("", "Anything") > 0


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(colours: Colours) -> None:
    for text, ground in TEXT_PAIRS:
        assert contrast(getattr(colours, text), getattr(colours, ground)) >= 4.5, (text, ground)
    for ground in ("window", "surface", "base"):
        assert contrast(colours.focus, getattr(colours, ground)) >= 3, "the focus frame must be seen"


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_qt_gets_readable_pairs(qapp: QApplication, colours: Colours) -> None:
    role = QPalette.ColorRole
    shown = palette(colours)
    for text, ground in itertools.chain(
        itertools.product(
            [role.WindowText, role.Text, role.PlaceholderText], [role.Window, role.Base, role.AlternateBase]
        ),
        [(role.ButtonText, role.Button), (role.ToolTipText, role.ToolTipBase), (role.HighlightedText, role.Highlight)],
    ):
        assert contrast(shown.color(text).name(), shown.color(ground).name()) >= 4.5, (text, ground)


def test_contrast_agrees_with_the_definition() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)  # WCAG's own example of a near miss


def test_the_look_changes_while_running(qapp: QApplication) -> None:
    settings = Settings()
    theme = Theme(qapp, settings)
    before = QFont(qapp.font()).pointSizeF()
    settings.set(THEME, "dark")
    assert theme.colours is DARK
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == DARK.window
    settings.set(FONT_SCALE_PERCENT, 150)
    assert qapp.font().pointSizeF() == pytest.approx(1.5 * before)
    assert theme.font_pt == pytest.approx(1.5 * before)
    settings.reset()
    assert qapp.font().pointSizeF() == pytest.approx(before)


def test_icons_follow_the_look(qapp: QApplication) -> None:
    settings = Settings()
    settings.set(THEME, "light")
    theme = Theme(qapp, settings)
    icon = theme.icon("mdi6.magnify")
    light = icon.pixmap(32, 32).toImage()
    settings.set(THEME, "dark")
    dark = icon.pixmap(32, 32).toImage()
    inked = [(x, y) for x in range(32) for y in range(32) if light.pixelColor(x, y).alpha() > 200]
    assert len(inked) > 40, "the glyph is drawn"
    assert all(light.pixelColor(x, y).lightness() < 90 < 160 < dark.pixelColor(x, y).lightness() for x, y in inked)
    settings.reset()
