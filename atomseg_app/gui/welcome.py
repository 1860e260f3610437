"""What the start page lists: bundled samples and the news of this version, read from files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from atomseg_app import places


@dataclass(frozen=True)
class Sample:
    """A bundled image with what there is to say about it."""

    path: Path
    title: str
    description: str


def samples() -> list[Sample]:
    """Files in the samples folder that a JSON file beside them describes, by its name."""
    found = []
    for card in sorted((places.resources_folder() / "samples").glob("*.json")):
        facts = json.loads(card.read_text("utf-8"))
        image = card.parent / str(facts.get("file", ""))
        if image.is_file() and "title" in facts:
            found.append(Sample(image, facts["title"], facts.get("description", "")))
    return found


def news() -> str:
    """The newest section of the change log as Markdown, without its heading; empty if there is none."""
    resources = places.resources_folder()
    for path in (resources / "CHANGELOG.md", resources.parent / "CHANGELOG.md"):
        if path.is_file():
            sections = re.split(r"^## .*$", path.read_text("utf-8"), flags=re.MULTILINE)
            return next((section.strip() for section in sections[1:] if section.strip()), "")
    return ""
