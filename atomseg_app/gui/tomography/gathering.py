"""Files that are views of one series: told by their names, and asked about before anything is opened."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from atomseg_app.io.patterns import pattern_of

SINGLE_IMAGES = (".dm3", ".dm4", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
"""Extensions of files that usually hold one image each."""
FEWEST = 3


def views_of_one(paths: Sequence[str]) -> tuple[Path, int] | None:
    """Pattern for files that look like the views of one series, and how many they are: three or more of one kind.

    One folder counts as the files in it. None where they are something else. Raises UserError where the files given
    are only some of those that look alike.
    """
    given = [Path(path) for path in paths]
    if len(given) == 1 and given[0].is_dir():
        files = [file for file in given[0].iterdir() if file.suffix.lower() in SINGLE_IMAGES and file.is_file()]
        kinds = Counter(file.suffix for file in files).most_common(1)
        if not kinds or kinds[0][1] < FEWEST:
            return None
        suffix, count = kinds[0]
        return Path(glob.escape(str(given[0]))) / f"*{suffix}", count
    alike = len(given) >= FEWEST and len({path.suffix for path in given}) == 1
    if not alike or given[0].suffix.lower() not in SINGLE_IMAGES or not all(path.is_file() for path in given):
        return None
    return pattern_of(given), len(given)
