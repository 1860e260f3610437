"""Colours of the light and the dark look, and which of them are laid on which."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colours:
    """One look, as "#rrggbb". ``on_x`` is text on ``x``; ``muted`` is secondary text."""

    dark: bool
    window: str
    surface: str  # cards, panels, tool bars
    base: str  # fields, lists, tables
    alternate: str
    text: str
    muted: str
    border: str
    control: str
    control_hover: str
    accent: str
    accent_hover: str
    on_accent: str
    selection: str
    on_selection: str
    link: str
    focus: str
    info: str
    on_info: str
    success: str
    on_success: str
    warning: str
    on_warning: str
    error: str
    on_error: str


LIGHT = Colours(
    dark=False,
    window="#f3f5f8", surface="#fbfcfd", base="#ffffff", alternate="#f3f6fa",
    text="#18202b", muted="#545f6e", border="#d3d9e2",
    control="#ffffff", control_hover="#e9eef5",
    accent="#1c5fb8", accent_hover="#174f9a", on_accent="#ffffff",
    selection="#d6e5fa", on_selection="#10233d", link="#1a56ab", focus="#2f7de1",
    info="#e3eefc", on_info="#143c70", success="#e0f3e8", on_success="#14512d",
    warning="#fdf0cf", on_warning="#5a3f00", error="#fce4e2", on_error="#8a1711",
)  # fmt: skip

DARK = Colours(
    dark=True,
    window="#16191f", surface="#1d2128", base="#12151a", alternate="#191d23",
    text="#e3e8ef", muted="#a0abba", border="#343b46",
    control="#272c35", control_hover="#323944",
    accent="#7db2ff", accent_hover="#9cc5ff", on_accent="#0b1a2f",
    selection="#27466f", on_selection="#eef5ff", link="#8fbcff", focus="#7db2ff",
    info="#1b2f4b", on_info="#cfe2ff", success="#173626", on_success="#bfebd0",
    warning="#3d3110", on_warning="#ffe4a1", error="#45201e", on_error="#ffcbc6",
)  # fmt: skip

TEXT_PAIRS = (
    ("text", "window"), ("text", "surface"), ("text", "base"), ("text", "alternate"),
    ("text", "control"), ("text", "control_hover"),
    ("muted", "window"), ("muted", "surface"), ("muted", "base"), ("muted", "alternate"), ("muted", "control"),
    ("on_accent", "accent"), ("on_accent", "accent_hover"), ("on_selection", "selection"),
    ("link", "window"), ("link", "surface"), ("link", "base"),
    ("on_info", "info"), ("on_success", "success"), ("on_warning", "warning"), ("on_error", "error"),
)  # fmt: skip
"""Every (text, background) the window draws; WCAG asks 4.5:1 of each."""


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two "#rrggbb" colours, 1..21 (WCAG 2.2, relative luminance)."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
